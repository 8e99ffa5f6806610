"""Lines of Graphite's plain text: `path value time`, `path;tag=value;tag=value value time`. Pure; never an error.

The time is in epoch seconds, also with a fraction; missing, `-1` or `N` it is that of reception. Pickle, carbon's other
form, is not accepted anywhere: reading it runs what it says.
"""

from enum import Enum
from functools import lru_cache
from typing import Final

from msgspec import Struct

from deployer.protocol.decimals import decimal

MAX_LINE_CHARS: Final = 4096
MAX_TAGS: Final = 32
NOW: Final = frozenset({"-1", "N", "-1.0"})

Tags = tuple[tuple[str, str], ...]


class Bad(Enum):
    """Why a line is none."""

    LONG_LINE = "longer than a line may be"
    PARTS = "not a path, a value and a time"
    VALUE = "the value is no finite number"
    TIME = "the time is no number"
    TAGS = "a tag is not name=value, or there are too many"


class Said(Struct, frozen=True, gc=False):
    """What a line says. `at`: epoch seconds, None for now; `tags` sorted, of two with one name the last."""

    path: str
    tags: Tags
    value: float
    at: int | None


def parse(line: str) -> Said | Bad:
    """Read a line."""
    if len(line) > MAX_LINE_CHARS:
        return Bad.LONG_LINE
    parts = line.split()
    if len(parts) not in {2, 3}:
        return Bad.PARTS
    value = decimal(parts[1])
    if value is None:
        return Bad.VALUE
    at = None
    if len(parts) == 3 and parts[2] not in NOW:  # noqa: PLR2004 (path, value, time)
        seconds = decimal(parts[2])
        if seconds is None:
            return Bad.TIME
        at = int(seconds)
    named = _named(parts[0])
    return named if isinstance(named, Bad) else Said(named[0], named[1], value, at)


@lru_cache(maxsize=8192)
def _named(text: str) -> tuple[str, Tags] | Bad:
    """Path and tags. Kept: a sender says the same each time."""
    path, *parts = text.split(";")
    tags: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not name or not equals or not value:
            return Bad.TAGS
        tags[name] = value
    return Bad.TAGS if len(parts) > MAX_TAGS or "name" in tags else (path, tuple(sorted(tags.items())))
