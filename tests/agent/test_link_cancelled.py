"""A request that is cancelled says so, wherever it was."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from deployer.protocol.wire import LogAnswer
from deployer_agent.link.http import Http

ADDRESS: Any = ("127.0.0.1", 1)
REASONS: dict[str, Callable[[], Exception]] = {
    "before it connects": lambda: ConnectingCancelledError(ADDRESS),
    "while it is sent": lambda: RequestTransmissionFailed([Failure(CancelledError())]),
    "while it is answered": lambda: ResponseFailed([Failure(CancelledError())]),
}


class Requesting:
    """Twisted's agent, which tells of a cancellation in its own words."""

    def __init__(self, reason: Exception) -> None:
        self._reason = reason

    def request(self, *_: object) -> "Deferred[Any]":
        return fail(self._reason)


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_a_cancelled_request_is_no_failure_of_the_link(reason: Callable[[], Exception]) -> None:
    reactor = MemoryReactorClock()
    http = Http(Requesting(reason()), reactor, "http://127.0.0.1:1", "0")
    ended: list[Failure] = []
    Deferred.fromCoroutine(http.post("/x", b"{}", LogAnswer)).addErrback(ended.append)
    assert [failure.type for failure in ended] == [CancelledError]
