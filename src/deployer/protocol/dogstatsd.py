r"""Events and checks of DogStatsD, which come among the lines of statsd. Pure: a notice or None, never an error.

    _e{<length of title>,<of text>}:title|text[|d:time][|h:host][|k:key][|p:priority][|s:source][|t:type][|#tags]
    _sc|name|status[|d:time][|h:host][|#tags][|m:message]

Lengths are in bytes of UTF-8, or, as some clients have it, in characters; `\n` is written for a line end. The type of
an event is error (level 8), warning (7), info or success (5); the status of a check 0 (OK, 5), 1 (7), 2 (critical, 9)
or 3 (unknown, 7).
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from deployer.protocol.levels import CRITICAL, LOG, OPERATIONS_ERROR, WARNING
from deployer.protocol.syslogparts import Fields

EVENT: Final = "_e{"
CHECK: Final = "_sc|"
MAX_TAGS: Final = 32
_EVENT: Final = re.compile(r"_e\{([0-9]{1,5}),([0-9]{1,5})\}:", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,11}", re.ASCII)
_EVENT_LEVELS: Final = {"error": OPERATIONS_ERROR, "warning": WARNING, "info": LOG, "success": LOG}
_CHECK_LEVELS: Final = {"0": LOG, "1": WARNING, "2": CRITICAL, "3": WARNING}
_CHECK_NAMES: Final = {"0": "ok", "1": "warning", "2": "critical", "3": "unknown"}
_LATEST_S: Final = 253_402_300_799
_FIELDS: Final = {"k": "aggregation_key", "p": "priority", "s": "source_type", "t": "alert_type", "c": "container"}


class Notice(Struct, frozen=True):
    """What an event or check says. `at`: epoch seconds; `host` may be empty."""

    kind: Literal["events", "checks"]
    level: int
    text: str
    host: str = ""
    at: int | None = None
    fields: Fields = ()


def is_notice(line: str) -> bool:
    """Whether this wants to be one."""
    return line.startswith((EVENT, CHECK))


def parse(line: str) -> Notice | None:
    """Read a line; None when it is no event and no check after all."""
    return _check(line) if line.startswith(CHECK) else _event(line)


def _event(line: str) -> Notice | None:
    head = _EVENT.match(line)
    if head is None:
        return None
    body, title_size, text_size = line[head.end() :], int(head[1]), int(head[2])
    cut = _cut(body.encode("utf-8", "replace"), title_size, text_size)
    if cut is None:
        return None
    title, text, rest = cut
    said = _sections(rest)
    level = _EVENT_LEVELS.get(said.get("t", "info"), LOG)
    return _notice("events", level, f"{title}: {text}" if text else title, said, _tags(rest))


def _cut(body: bytes, title_size: int, text_size: int) -> tuple[str, str, list[str]] | None:
    """Title, text and the sections behind: lengths in bytes, else in characters."""
    for whole in (body, body.decode("utf-8", "replace")):
        end = title_size + 1 + text_size
        mark, behind = whole[title_size : title_size + 1], whole[end : end + 1]
        if len(whole) < end or mark not in {b"|", "|"} or behind not in {b"|", "|", b"", ""}:
            continue
        title, text, rest = (_text(one) for one in (whole[:title_size], whole[title_size + 1 : end], whole[end + 1 :]))
        return title, text.replace("\\n", "\n"), rest.split("|")
    return None


def _text(part: bytes | str) -> str:
    return part if isinstance(part, str) else part.decode("utf-8", "replace")


def _check(line: str) -> Notice | None:
    line, _, message = line.partition("|m:")
    _, name, status, *rest = [*line.split("|"), "", ""]
    level = _CHECK_LEVELS.get(status)
    if level is None or not name:
        return None
    fields: Fields = (("check", name), ("status", _CHECK_NAMES[status]), *_tags(rest))
    text = f"{name} is {_CHECK_NAMES[status]}"
    return _notice("checks", level, f"{text}: {message}" if message else text, _sections(rest), fields)


def _notice(kind: Literal["events", "checks"], level: int, text: str, said: dict[str, str], fields: Fields) -> Notice:
    at = said.get("d", "")
    seconds = int(at) if _SECONDS.fullmatch(at) and int(at) <= _LATEST_S else None
    named = tuple((name, said[letter]) for letter, name in _FIELDS.items() if letter in said)
    return Notice(kind, level, text, said.get("h", ""), seconds, named + fields)


def _sections(parts: Sequence[str]) -> dict[str, str]:
    return {part[0]: part[2:] for part in parts if part[1:2] == ":"}


def _tags(parts: Sequence[str]) -> Fields:
    texts = [tag for part in parts if part.startswith("#") for tag in part[1:].split(",", MAX_TAGS)[:MAX_TAGS] if tag]
    return tuple((f"tag.{name}", value or "true") for name, _, value in (text.partition(":") for text in texts))
