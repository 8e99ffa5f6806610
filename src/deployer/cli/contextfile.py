"""Changes of the context file that leave all else in it as people wrote it: other contexts, comments, order. Pure."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from deployer.cli.contexts import BadContext

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CURRENT: Final = re.compile(r"^[ \t]*current[ \t]*=.*\n?", re.MULTILINE)
_TABLE: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)


def with_context(text: str, name: str, fields: Mapping[str, str]) -> str:
    """The same with this context, as the current one; BadContext when the file is too unusual to be changed."""
    before = _without_table(text, name).rstrip("\n")
    lines = [f"[contexts.{_quoted(name)}]", *(f"{key} = {_quoted(value)}" for key, value in fields.items())]
    added = (before + "\n\n" if before else "") + "\n".join(lines) + "\n"
    changed = _with_current(added, name)
    return _checked(changed, text, name, dict(fields), name)


def without_context(text: str, name: str) -> str:
    """The same without this context; when it was the current one there is none."""
    changed = _without_table(text, name)
    current = tomllib.loads(text).get("current")
    if current == name:
        changed, current = _with_current(changed, None), None
    return _checked(changed, text, name, None, current)


def with_current(text: str, name: str) -> str:
    """The same with this context as the current one."""
    known = (tomllib.loads(text).get("contexts") or {}).get(name)
    return _checked(_with_current(text, name), text, name, known, name)


def _without_table(text: str, name: str) -> str:
    head = re.compile(rf"^[ \t]*\[contexts\.(?:{re.escape(name)}|{re.escape(_quoted(name))})\].*\n?", re.MULTILINE)
    match = head.search(text)
    if match is None:
        return text
    end = _TABLE.search(text, match.end())
    return text[: match.start()] + (text[end.start() :] if end else "")


def _with_current(text: str, name: str | None) -> str:
    """`current` stands before the first table."""
    table = _TABLE.search(text)
    at = table.start() if table else len(text)
    head = _CURRENT.sub("", text[:at])
    return (f"current = {_quoted(name)}\n" if name else "") + head + text[at:]


def _checked(changed: str, before: str, name: str, wanted: object, current: object) -> str:
    """What was changed says what was wanted, and of all else the same."""
    expected: dict[str, Any] = tomllib.loads(before)
    contexts = {key: value for key, value in (expected.pop("contexts", None) or {}).items() if key != name}
    expected.pop("current", None)
    if wanted is not None:
        contexts[name] = wanted
    expected |= {"contexts": contexts} if contexts else {}
    expected |= {"current": current} if current else {}
    try:
        found = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        found = {}
    if not found.get("contexts"):
        found.pop("contexts", None)
    if found != expected:
        raise BadContext("the context file is written in a way that is not changed here: change it by hand")
    return changed


def _quoted(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise BadContext(f"{text!r} has control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
