"""What every metric store does. A value for a slot that has one takes its place: `model.slots` has merged them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from deployer.model.series import Series
from deployer.model.slots import Rows
from deployer.protocol.stats import How


class MetricStore(Protocol):
    """Keeps the numbers of all companies apart. UnavailableError while it cannot be reached or has no room."""

    async def write(self, company: str, rows: Rows, hows: Mapping[str, How]) -> None:
        """Keep these; how finer slots of a series become a coarser one is in `hows`."""

    async def fetch(self, company: str, hows: Mapping[str, How], start: int, end: int, points: int) -> list[Series]:
        """These series from `start` to `end` (epoch seconds), each in at most `points` slots, in their order.

        What is not there is left out.
        """

    async def remove(self, company: str, names: Sequence[str]) -> None:
        """Forget these series."""

    async def stop(self) -> None:
        """Let go of what is open."""


def width(step: int, start: int, end: int, points: int) -> int:
    """How many slots of `step` seconds one of an answer is made of, so that there are at most `points`."""
    return max(1, -(-(end - start) // (step * max(1, points))))
