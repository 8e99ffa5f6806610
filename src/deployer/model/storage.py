"""In which steps and for how long a series is kept: carbon's `storage-schemas` and `storage-aggregation`. Pure.

Both are lists of rules, and of each the first one whose expression is found in the series' name counts.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta, Struct

from deployer.protocol.stats import How

USUAL: Final = "30s:1d,5m:14d,1h:1y"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,9})(?:(s|m|h|d|w|y)[a-z]*)?", re.ASCII)
MAX_POINTS: Final = 10_000_000
_HEADER_BYTES: Final = 16
_ARCHIVE_BYTES: Final = 12
_POINT_BYTES: Final = 12


class Archive(Struct, frozen=True):
    """So many slots of `step` seconds each."""

    step: int
    points: int

    @property
    def retention(self) -> int:
        """Seconds until a slot is used again."""
        return self.step * self.points


class SchemaRule(Struct, frozen=True, forbid_unknown_fields=True):
    """`pattern`: a regular expression of the operator's; `retentions`: as `30s:1d,5m:14d`."""

    pattern: str
    retentions: str


class AggregationRule(Struct, frozen=True, forbid_unknown_fields=True):
    """How finer slots become a coarser one; `x_files_factor`: which share of them must be known."""

    pattern: str
    method: How
    x_files_factor: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Plan(Struct, frozen=True):
    """How one series is kept. `how`: None for the way that its source says."""

    archives: tuple[Archive, ...]
    how: How | None
    x_files_factor: float

    @property
    def step(self) -> int:
        """Seconds of its finest slots."""
        return self.archives[0].step

    @property
    def size(self) -> int:
        """Bytes of a file that holds all of it."""
        return sum(_ARCHIVE_BYTES + _POINT_BYTES * one.points for one in self.archives) + _HEADER_BYTES


class Plans:
    """The rules, ready to be asked. ValueError for a rule that is none."""

    def __init__(self, schemas: Sequence[SchemaRule] = (), aggregations: Sequence[AggregationRule] = ()) -> None:
        self._schemas = [(_compiled(one.pattern), retentions(one.retentions)) for one in schemas]
        self._usual = retentions(USUAL)
        self._aggregations = [(_compiled(one.pattern), one) for one in aggregations]
        self.plan = lru_cache(maxsize=65536)(self._plan)
        """How a series is kept, by its name."""

    @property
    def step(self) -> int:
        """Seconds of the finest slots of all: sources flush at it (DESIGN 8)."""
        return min(archives[0].step for archives in [self._usual, *(its for _, its in self._schemas)])

    @property
    def largest(self) -> int:
        """Bytes of the largest file that a series may have."""
        return max(Plan(its, None, 0.0).size for its in [self._usual, *(its for _, its in self._schemas)])

    def _plan(self, series: str) -> Plan:
        archives = next((its for pattern, its in self._schemas if pattern.search(series)), self._usual)
        rule = next((one for pattern, one in self._aggregations if pattern.search(series)), None)
        return Plan(archives, None, 0.0) if rule is None else Plan(archives, rule.method, rule.x_files_factor)


def retentions(text: str) -> tuple[Archive, ...]:
    """Read `30s:1d,5m:14d,1h:1y`, steps and times with a unit, or `60:1440` in seconds and slots. ValueError."""
    archives = tuple(sorted((_archive(part.strip()) for part in text.split(",")), key=lambda one: one.step))
    for fine, coarse in pairwise(archives):
        if fine.step == coarse.step or coarse.step % fine.step:
            raise ValueError(f"{text!r}: {coarse.step} s is no multiple of {fine.step} s")
        if coarse.retention <= fine.retention:
            raise ValueError(f"{text!r}: steps of {coarse.step} s are kept no longer than those of {fine.step} s")
        if fine.points < coarse.step // fine.step:
            raise ValueError(f"{text!r}: {fine.points} steps of {fine.step} s do not make one of {coarse.step} s")
    return archives


def _archive(text: str) -> Archive:
    step, colon, span = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not STEP:TIME, such as 30s:1d")
    step_s = _seconds(step)
    points = int(span) if span.isdigit() and span.isascii() and len(span) <= len(str(MAX_POINTS)) else None
    points = _seconds(span) // step_s if points is None else points
    if not 0 < points <= MAX_POINTS:
        raise ValueError(f"{text!r}: a step is kept from 1 to {MAX_POINTS} times")
    return Archive(step_s, points)


def _seconds(text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time such as 30s, 5m, 1h, 14d, 1y")
    return int(match[1]) * _UNITS[match[2] or "s"]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
