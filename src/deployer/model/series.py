"""Series of numbers over time, as the metric store keeps and gives them (DESIGN 8). Pure.

A series has a dotted path, each part of `[A-Za-z0-9_%-]` as `ids.node()` makes it, and tags behind it in Graphite's
canonical form: `path;tag=value;tag=value`, sorted by tag. A value may have any characters but `;` and control
characters, and does not begin with `~`. Slots of time are `step` seconds long and begin at a multiple of it.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Protocol

from msgspec import Struct

from deployer.protocol.stats import How

MAX_SERIES_CHARS: Final = 2500
MAX_PARTS: Final = 32
_PATH: Final = re.compile(r"[A-Za-z0-9_%-]+(?:\.[A-Za-z0-9_%-]+)*", re.ASCII)
_TAG: Final = re.compile(r"[^;!^=\x00-\x1f\x7f-\x9f]+=[^;~\x00-\x1f\x7f-\x9f][^;\x00-\x1f\x7f-\x9f]*")

Tags = Sequence[tuple[str, str]]


class Datum(Struct, frozen=True, array_like=True, gc=False):
    """One number of a series on its way into the store. `at`: epoch seconds; `how` two of one slot become one."""

    series: str
    at: int
    value: float
    how: How


class Series(Struct, frozen=True):
    """Numbers of a series between two times: `values[i]` is that of the slot from `start + i * step` on, or None."""

    name: str
    start: int
    step: int
    values: list[float | None]
    how: How = "average"

    @property
    def end(self) -> int:
        """The first moment after the last slot."""
        return self.start + self.step * len(self.values)


class Source(Protocol):
    """Where numbers are read, each time of one company only."""

    async def names(self, company: str) -> Sequence[str]:
        """All series of a company, canonical and sorted; the same object as long as nothing has changed."""

    async def fetch(self, company: str, names: Sequence[str], start: int, end: int, points: int) -> list[Series]:
        """Series from `start` to `end` (epoch seconds), in steps so wide that each has at most `points` slots.

        In the order of `names`; what a store does not have is left out.
        """


def canonical(path: str, tags: Tags) -> str:
    """The one name of a series."""
    return path + "".join(f";{tag}={value}" for tag, value in sorted(tags))


def split(name: str) -> tuple[str, dict[str, str]]:
    """Path and tags of a canonical name, without the tag `name` that Graphite adds."""
    path, *tags = name.split(";")
    return path, dict(tag.partition("=")[::2] for tag in tags)


def is_series(name: str) -> bool:
    """Whether this may be the name of a series (RELIABILITY U5)."""
    path, *tags = name.split(";")
    return (
        len(name) <= MAX_SERIES_CHARS
        and path.count(".") < MAX_PARTS
        and _PATH.fullmatch(path) is not None
        and all(map(_TAG.fullmatch, tags))
        and _is_sorted([tag.partition("=")[0] for tag in tags])
    )


def _is_sorted(tags: Sequence[str]) -> bool:
    return all(first < second for first, second in pairwise(tags))
