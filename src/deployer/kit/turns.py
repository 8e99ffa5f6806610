"""So many at once; who waits is served in turn by whose it is: many of one do not keep one of another waiting."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import CancelledError, Deferred


class Turns:
    """`most` at once. A line for each key; the lines take turns."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._lines: dict[str, deque[Deferred[None]]] = {}

    def waiting(self, key: str) -> int:
        """How many of one wait."""
        return len(self._lines.get(key, ()))

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it."""
        if self._free:
            self._free -= 1
        else:
            await self._queued(key)
        try:
            yield
        finally:
            self._next()

    async def _queued(self, key: str) -> None:
        mine: Deferred[None] = Deferred()
        self._lines.setdefault(key, deque()).append(mine)
        try:
            await mine
        except CancelledError:
            self._leave(key, mine)
            raise

    def _leave(self, key: str, mine: Deferred[None]) -> None:
        line = self._lines.get(key)
        if line is not None and mine in line:
            line.remove(mine)
            if not line:
                del self._lines[key]

    def _next(self) -> None:
        """The first of the line that waits longest since it was served."""
        if not self._lines:
            self._free += 1
            return
        key = next(iter(self._lines))
        line = self._lines.pop(key)
        first = line.popleft()
        if line:
            self._lines[key] = line
        first.callback(None)
