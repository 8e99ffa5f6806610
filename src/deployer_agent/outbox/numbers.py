"""Ids of messages: 32 bits, counted up over restarts of the agent, so that a reader can tell and order them."""

from collections.abc import Callable
from typing import Final

BLOCK: Final = 1_000_000
_WRAP: Final = 2**32


class Numbers:
    """Counts on from the reserved high-water mark; `reserve` writes a new one down well before it is reached."""

    def __init__(self, start: int, reserve: Callable[[int], object]) -> None:
        self._next = start
        self._reserve = reserve
        self._ahead = start + BLOCK
        reserve(self._ahead)

    def next(self) -> int:
        """Return a number that was not used before."""
        number = self._next
        self._next = number + 1
        if self._ahead - number == BLOCK // 2:
            self._ahead += BLOCK
            self._reserve(self._ahead)
        return number % _WRAP
