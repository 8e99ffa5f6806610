"""The value of a result message (levels 20 to 23): JSON, YAML, TOML or HRD text into plain values. Pure.

What could grow while it is read is refused: YAML's aliases, nesting deeper than 32.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import yaml

from deployer.protocol import codecs, levels

MAX_DEPTH: Final = 32
QUICK_BYTES: Final = 16 * 1024
"""What is longer takes long enough to be read in a thread, unless it is JSON."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HRD_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,255}")


class BadResult(ValueError):  # noqa: N818 (it says what it is)
    """The text is not what its level says; one sentence."""


def parse(level: int, text: str) -> Any:
    """The value; BadResult when it does not parse. Levels that are no result, or whole jobs (30), have none: None."""
    reader = _READERS.get(level)
    if reader is None:
        return None
    try:
        value = reader(text)
        msgspec.json.encode(value)  # what JSON has no form for (a key that is a list, say) cannot be told to anybody
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        name = _NAMES[level]
        raise BadResult(f"the result is not {name}: {' '.join(str(error).split())[:300]}") from None
    return value


def is_quick(level: int, text: str) -> bool:
    """Whether reading it takes no time that matters."""
    return level == levels.RESULT_JSON or len(text) <= QUICK_BYTES or level not in _READERS


def _json(text: str) -> Any:
    body = text.encode()
    codecs.check_form(body)
    return codecs.decode(object, body)


def _yaml(text: str) -> Any:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases (*name) are not read")  # noqa: TRY004 (it is about the text)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 (the safe loader, in C where there is one)


def _hrd(text: str) -> dict[str, Any]:
    """`key = value` a line, keys with dots kept flat; `#` begins a comment line."""
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            key, equals, value = (part.strip() for part in stripped.partition("="))
            if not equals or not _HRD_KEY.fullmatch(key):
                raise ValueError(f"line {number} is not `key = value`")
            found[key] = _hrd_value(value)
    return found


def _hrd_value(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if re.fullmatch(r"[+-]?[0-9]{1,18}\.[0-9]{1,18}", text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


_READERS: Final[Mapping[int, Callable[[str], Any]]] = {
    levels.RESULT_JSON: _json,
    levels.RESULT_YAML: _yaml,
    levels.RESULT_TOML: tomllib.loads,
    levels.RESULT_HRD: _hrd,
}
_NAMES: Final = {
    levels.RESULT_JSON: "JSON",
    levels.RESULT_YAML: "YAML",
    levels.RESULT_TOML: "TOML",
    levels.RESULT_HRD: "HRD",
}
