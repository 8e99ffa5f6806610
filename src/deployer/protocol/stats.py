"""Numbers over time on their way from an agent to the master: points, flushes of points, batches of flushes.

A flush holds the points of one slot of time: `step` seconds from `at`, which is a multiple of `step`. The host's own
values have an empty domain and name. JSON has no infinity and no NaN, and a number beyond a double is refused.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

MAX_KEY_CHARS: Final = 300
MAX_POINTS: Final = 10_000
"""Points of one flush, and of one batch: decoding them takes 5 ms of the reactor."""
MAX_FLUSHES: Final = 100
MAX_STATS_BYTES: Final = 1024 * 1024
"""The longest `StatsBatch` on the wire."""
MAX_STEP_S: Final = 86400
_YEAR_10000: Final = 253_402_300_800

How = Literal["sum", "average", "min", "max", "last"]
"""How two points of one slot become one: as they meet in the store, and as time thins them out."""

_Short = Annotated[str, Meta(max_length=128)]
_Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY_CHARS)]

_KEY = re.compile(r"[A-Za-z0-9_%-]+(?:\.[A-Za-z0-9_%-]+)*", re.ASCII)
_KEY_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_%-."
_FORBIDDEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


class Point(Struct, frozen=True, array_like=True, gc=False):
    """One number. `key`: parts of `[A-Za-z0-9_%-]` with dots between; domain and name as `ids.Name`.

    The two rules are looked after by `Flush`, for all its points at once: a pattern for each would cost 1 us a point.
    """

    domain: _Short
    name: _Short
    key: _Key
    how: How
    value: float


class Flush(Struct, frozen=True):
    """The points of one slot. `at`: its beginning in epoch seconds."""

    at: Annotated[int, Meta(ge=0, lt=_YEAR_10000)]
    step: Annotated[int, Meta(ge=1, le=MAX_STEP_S)]
    points: Annotated[list[Point], Meta(max_length=MAX_POINTS)]

    def __post_init__(self) -> None:
        """ValueError for what is aligned to nothing, and for points that are called what they may not be."""
        if self.at % self.step:
            raise ValueError("`at` is no multiple of `step`")
        if not _are_keys([point.key for point in self.points]):
            raise ValueError(f"point {_first_bad(self.points)} has a key that is none")
        names = {point.domain for point in self.points} | {point.name for point in self.points}
        if _FORBIDDEN.search("".join(names)):
            raise ValueError("a domain or a name has control characters")


class StatsBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flushes in order; `boot` and `seq` as in a `LogBatch`, but counted apart from those."""

    boot: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    seq: Annotated[int, Meta(ge=1, le=2**62)]
    flushes: Annotated[list[Flush], Meta(max_length=MAX_FLUSHES)]

    def __post_init__(self) -> None:
        """ValueError for more points than a batch may have."""
        if (count := sum(len(flush.points) for flush in self.flushes)) > MAX_POINTS:
            raise ValueError(f"{count} points are more than the {MAX_POINTS} of a batch")


class StatsAnswer(Struct, frozen=True):
    """`acked`: the highest `seq` of this boot that is stored."""

    acked: int


def slot(wall: float, step: int) -> int:
    """The beginning of the slot that a moment lies in; both in epoch seconds."""
    return int(wall // step) * step


def is_key(text: str) -> bool:
    """Whether a point may have this key."""
    return len(text) <= MAX_KEY_CHARS and _KEY.fullmatch(text) is not None


def _are_keys(keys: Sequence[str]) -> bool:
    """All at once, in C: nothing but the characters of a key, and no dot without a part on either side."""
    text = "\n".join(("", *keys, ""))
    try:
        rest = text.encode("ascii").translate(None, _KEY_BYTES)
    except UnicodeEncodeError:
        return False
    return len(rest) == len(keys) + 1 and not any(pair in text for pair in ("..", "\n.", ".\n"))


def _first_bad(points: Iterable[Point]) -> int:
    return next(index for index, point in enumerate(points) if not is_key(point.key))
