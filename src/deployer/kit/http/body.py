"""Bodies of requests and answers: one written at once, the other collected up to a limit."""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer


@implementer(IBodyProducer)
class Body:
    """What is posted."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write all of it."""
        consumer.write(self._content)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to pause."""

    def resumeProducing(self) -> None:
        """Nothing is left to resume."""

    def stopProducing(self) -> None:
        """Nothing is left to stop."""


def collect(response: Any, most: int, error: type[Exception]) -> Deferred[bytes]:
    """Read an answer's body; `error` when it is longer than `most`. Cancelling closes the connection."""
    collector = _Collector(most, error)
    response.deliverBody(collector)
    return collector.done


class _Collector(Protocol):
    def __init__(self, most: int, error: type[Exception]) -> None:
        self._error = error
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0
        self.done: Deferred[bytes] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._most:
            self._end(Failure(self._error(f"the answer is longer than {self._most} bytes")))
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone, PotentialDataLoss):
            self._end(b"".join(self._parts))
        else:
            self._end(reason)

    def _end(self, outcome: bytes | Failure) -> None:
        if not self.done.called:
            self.done.callback(outcome)

    def _close(self) -> None:
        if self.transport is not None:
            transport: Any = self.transport  # zope's interfaces are unknown to mypy
            transport.loseConnection()
