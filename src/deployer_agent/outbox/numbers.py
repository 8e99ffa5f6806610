"""Numbers of messages: counted up over restarts of the agent, so that a reader can tell and order them.

They have 64 bits and never wrap; the id that seed 001 knows is the lowest 32 of them.
"""

from collections.abc import Callable
from typing import Final

BLOCK: Final = 1_000_000


class Numbers:
    """Counts on from the reserved high-water mark; `reserve` writes a new one down well before it is reached."""

    def __init__(self, start: int, reserve: Callable[[int], object]) -> None:
        self._next = start
        self._reserve = reserve
        self._ahead = start + BLOCK
        reserve(self._ahead)

    def next(self) -> int:
        """Return a number that was not used before."""
        return self.take(1)

    def take(self, count: int) -> int:
        """Return the first of so many numbers that were not used before."""
        first = self._next
        self._next = first + count
        while self._ahead - self._next < BLOCK // 2:
            self._ahead += BLOCK
            self._reserve(self._ahead)
        return first
