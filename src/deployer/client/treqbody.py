"""The body of an answer as pieces that are asked for: who reads slowly slows the sender down."""

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

MOST_PIECES = 16


class Pieces(Protocol):
    """Takes what is delivered. `silence_s`: the sender is given up when it says nothing for so long."""

    def __init__(self, reactor: IReactorTime, silence_s: float) -> None:
        self._reactor = reactor
        self._silence_s = silence_s
        self._pieces: deque[bytes] = deque()
        self._waiter: Deferred[None] | None = None
        self._ended: Failure | None = None
        self._paused = False

    async def next(self) -> bytes:
        """The next piece, empty at the end; raises what the connection was lost by."""
        if not self._pieces and self._ended is None:
            await self._come()
        if self._pieces:
            piece = self._pieces.popleft()
            self._go_on()
            return piece
        assert self._ended is not None  # noqa: S101 (it has come to an end, or to a piece)
        if self._ended.check(ResponseDone, PotentialDataLoss) is None:
            self._ended.raiseException()
        return b""

    async def whole(self) -> bytes:
        """All of it."""
        parts = []
        try:
            while part := await self.next():
                parts.append(part)
        finally:
            self.close()
        return b"".join(parts)

    def close(self) -> None:
        """Wait for no more."""
        if self._ended is None and self.transport is not None:
            transport: Any = self.transport  # zope's interfaces are unknown to mypy
            self._go_on()
            transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's."""
        self._pieces.append(data)
        if len(self._pieces) >= MOST_PIECES and not self._paused:
            self._paused = True
            self.transport.pauseProducing()  # type: ignore[union-attr]  # it is there while data come
        self._tell()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's."""
        self._ended = reason
        self._tell()

    async def _come(self) -> None:
        self._waiter = Deferred()
        self._waiter.addTimeout(self._silence_s, self._reactor)
        try:
            await self._waiter
        except DeadlineError:
            self.close()
            raise
        finally:
            self._waiter = None

    def _go_on(self) -> None:
        if self._paused and self._ended is None:
            self._paused = False
            self.transport.resumeProducing()  # type: ignore[union-attr]  # as above

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.called:
            self._waiter.callback(None)
