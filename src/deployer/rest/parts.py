"""A page of what may be large: read in parts, and ended early when it has become long enough."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from deployer.errors import MalformedError
from deployer.protocol.results import Result

T = TypeVar("T")

A_READ: Final = 10
MOST_A_READ: Final = 100
SMALL: Final = 2_000
"""Where results have fewer characters than this on the average, more are read at once."""
PAGE_CHARS: Final = 4 * 1024 * 1024
"""A page ends when its results have so many characters together; one result has a million at most."""
MOST_DIGITS: Final = 9


class Parts:
    """A page from a cursor on, which is the number of what comes before. `items`: what the caller puts into it.

    As long as `wants` is not 0 that many are to be read from `at` on and given to `take`.
    """

    def __init__(self, cursor: str | None, limit: int) -> None:
        """MalformedError for a cursor that is none."""
        self.at = offset(cursor)
        self.items: list[Any] = []
        self.next: str | None = None
        self._end = self.at + limit
        self._chars = 0
        self._a_read = A_READ
        self._is_over = False

    @property
    def wants(self) -> int:
        """How many are to be read now, one more than are for this page at the end of it."""
        return 0 if self._is_over else min(self._a_read, self._end - self.at + 1)

    def take(self, found: Sequence[T], results: Sequence[Result | None]) -> list[T]:
        """Those of what was read that are for this page."""
        self._is_over = len(found) < self.wants
        taken: list[T] = []
        for one, result in zip(found, results, strict=True):
            if self.at == self._end or (self._chars >= PAGE_CHARS and (self.items or taken)):
                self._is_over, self.next = True, str(self.at)
                break
            taken.append(one)
            self.at += 1
            self._chars += 0 if result is None else len(result.data)
        is_small = sum(len(one.data) for one in results if one is not None) < SMALL * len(results)
        self._a_read = min(self._a_read * 2, MOST_A_READ) if is_small else A_READ
        return taken


def offset(cursor: str | None) -> int:
    """The number of what comes before; MalformedError for a cursor that is none."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= MOST_DIGITS):
        raise MalformedError("this cursor was not made here")
    return int(cursor)
