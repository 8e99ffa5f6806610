"""Logs thin out with age instead of ending, and never have more bytes than they may (DESIGN 8). Pure.

A schedule such as `all:7d, 1/10:30d, 1/100:1y` says of each age which share of the messages of levels 1 to 6 is kept;
after the last age none of them is. Warnings, errors and results (levels 7 to 9, 20 to 23 and 30) stay until the bytes
are needed, and go when there is nothing else left. A message is kept or not by where it stands, so that what one share
keeps is part of what the share before it kept.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

from deployer.protocol.levels import CRITICAL, OPERATIONS_ERROR, RESULTS, WARNING

PROTECTED: Final = frozenset({WARNING, OPERATIONS_ERROR, CRITICAL, *RESULTS})
MAX_STEPS: Final = 4
KEPT: Final = MAX_STEPS + 1
"""The tier of what is protected and older than all steps; 0 is what is new."""
NOTHING: Final = 0
"""The share of a tier that has protected messages only."""
_STEP: Final = re.compile(r"(all|1/([1-9][0-9]{0,8})):([1-9][0-9]{0,5})([smhdwy])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


class Step(Struct, frozen=True):
    """Of messages younger than `until_ms` one of `every` is kept."""

    every: int
    until_ms: int


class Schedule(Struct, frozen=True):
    """Steps from young to old."""

    steps: tuple[Step, ...]

    def limit_ms(self, tier: int) -> int:
        """The age at which messages leave a tier for the next one; 0: at once, since there is no such step any more."""
        return self.steps[tier].until_ms if tier < len(self.steps) else 0

    def next_tier(self, tier: int) -> int:
        """Where they go from there."""
        return tier + 1 if tier + 1 < len(self.steps) else KEPT

    def every(self, tier: int) -> int:
        """Which share of the unprotected a tier has."""
        return self.steps[tier].every if tier < len(self.steps) else NOTHING


def parse(text: str) -> Schedule:
    """Read `all:1h, 1/10:1d, 1/100:30d`. ValueError."""
    steps = tuple(_step(part.strip()) for part in text.split(","))
    if len(steps) > MAX_STEPS:
        raise ValueError(f"{text!r} has more than {MAX_STEPS} steps")
    if steps[0].every != 1:
        raise ValueError(f"{text!r}: what is new is kept as it is: begin with all:TIME")
    for first, second in pairwise(steps):
        if second.until_ms <= first.until_ms:
            raise ValueError(f"{text!r}: each step goes further back than the one before it")
        if second.every <= first.every or second.every % first.every:
            raise ValueError(f"{text!r}: 1/{second.every} is no part of 1/{first.every}")
    return Schedule(steps)


def _step(text: str) -> Step:
    match = _STEP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not all:TIME or 1/N:TIME, such as all:7d or 1/10:30d")
    return Step(int(match[2] or 1), int(match[3]) * _UNITS[match[4]] * 1000)


def survivors(entry: str, levels: Iterable[tuple[int, int]], every: int) -> list[int]:
    """Which messages of an entry stay, as numbers in `levels`, which has for each its first place and its level."""
    return [
        number
        for number, (place, level) in enumerate(levels)
        if level in PROTECTED or (every != NOTHING and _chance(entry, place) % every == 0)
    ]


def _chance(entry: str, place: int) -> int:
    return zlib.crc32(f"{entry}.{place}".encode())


class Victim(Struct, frozen=True):
    """The oldest of this stream goes: of what is open all that is unprotected, of what is kept anything."""

    stream: str
    part: Literal["open", "kept"]


def victim(open_bytes: Mapping[str, int], kept_bytes: Mapping[str, int], most: int) -> Victim | None:
    """What goes first when there are more bytes than `most`; None when there are not.

    The largest stream pays, so that one that floods takes nothing from the others; what is protected goes last.
    """
    if sum(open_bytes.values()) + sum(kept_bytes.values()) <= most:
        return None
    if open_bytes:
        return Victim(_largest(open_bytes), "open")
    return Victim(_largest(kept_bytes), "kept")


def _largest(sizes: Mapping[str, int]) -> str:
    return max(sorted(sizes), key=lambda name: sizes[name])


def surplus(sizes: Sequence[int], over: int) -> int:
    """How many of these go, in their order, until `over` bytes are gone."""
    for count, size in enumerate(sizes, start=1):
        over -= size
        if over <= 0:
            return count
    return len(sizes)
