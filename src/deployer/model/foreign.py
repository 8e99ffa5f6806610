"""Series whose names others choose: senders of Graphite's plain text and of InfluxDB's lines. Pure.

What the master itself keeps of agents and masters is not theirs to write (RELIABILITY U2), and a name never leaves the
folder that it would be (U5): parts are brought into `[A-Za-z0-9_%-]` one by one, and what has a slash, a backslash, a
control character or an empty part is no name at all for Graphite, which would not find it.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Final

from deployer.model.series import Datum, canonical, is_series
from deployer.protocol.ids import node
from deployer.protocol.stats import How

RESERVED: Final = frozenset({"agents", "logs", "masters"})
PAST_S: Final = 366 * 86_400
FUTURE_S: Final = 3600
MAX_PATH_CHARS: Final = 512
_FORBIDDEN: Final = re.compile(r"[/\\\x00-\x20\x7f-\xa0]")
_NOT_IN_TAG_NAME: Final = re.compile("[;!^=]")
_SUM: Final = re.compile(r"\.(?:count|sum)$")
_MIN: Final = re.compile(r"\.(?:min|lower)$")
_MAX: Final = re.compile(r"\.(?:max|upper(?:_[0-9]+)?)$")

Tags = tuple[tuple[str, str], ...]

Store = Callable[[str, Sequence[Datum]], Awaitable[None]]
"""Keeps numbers of a company; UnavailableError or NoSpaceError while it cannot."""


@lru_cache(maxsize=16_384)
def foreign_series(path: str, tags: Tags) -> str | None:
    """The canonical name of a series; None when it may not be written. Kept: a sender says the same each time."""
    if len(path) > MAX_PATH_CHARS or _FORBIDDEN.search(path):
        return None
    return _series(path.split("."), tags)


@lru_cache(maxsize=16_384)
def measured_series(measurement: str, field: str, tags: Tags) -> str | None:
    """The same of InfluxDB's: `measurement.field`, with the tags as Graphite can have them.

    Blanks and slashes are usual in these names, so they are encoded and not refused. `name`, which is the series itself
    for Graphite, is `_name`.
    """
    if len(measurement) + len(field) > MAX_PATH_CHARS:
        return None
    return _series([*measurement.split("."), field], _fitting(tags))


def _series(parts: Sequence[str], tags: Tags) -> str | None:
    if not all(parts) or parts[0] in RESERVED:
        return None
    name = canonical(".".join(map(node, parts)), tags)
    return name if is_series(name) else None


@lru_cache(maxsize=4096)
def _fitting(tags: Tags) -> Tags:
    found = {_NOT_IN_TAG_NAME.sub("_", name): value.replace(";", "_").lstrip("~") for name, value in tags}
    if "name" in found:
        found["_name"] = found.pop("name")
    return tuple(sorted((name, value) for name, value in found.items() if value))


@lru_cache(maxsize=16_384)
def how_of(series: str) -> How:
    """How its values are merged, as carbon's example rules tell it from the end of the path."""
    path = series.partition(";")[0]
    if _SUM.search(path):
        return "sum"
    if _MIN.search(path):
        return "min"
    return "max" if _MAX.search(path) else "average"


def is_timely(at: int, now: float) -> bool:
    """Whether there may be a slot for it: within the last year, or an hour ahead."""
    return now - PAST_S <= at <= now + FUTURE_S
