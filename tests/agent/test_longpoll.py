"""The loop of polls: it goes on after every failure, and ends when it is told to, whatever happens just then."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from deployer.protocol.wire import PollAnswer
from deployer_agent.errors import LinkError
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.longpoll import LongPoll


class Requests:
    """Polls that wait until a test says how they end; a cancelled one ends as `cancelled` says."""

    def __init__(self, cancelled: Any = None) -> None:
        self.waiting: list[Deferred[Any]] = []
        self._cancelled = cancelled

    async def poll(self, count: int, kind: type) -> PollAnswer:
        waiting: Deferred[Any] = Deferred(self._cancelled)
        self.waiting.append(waiting)
        await waiting
        return PollAnswer([])


def made(requests: Requests) -> tuple[LongPoll, Clock]:
    clock = Clock()
    poll = LongPoll(requests, lambda: 1, lambda _: None, clock, Complaints(clock))  # type: ignore[arg-type]
    poll.start()
    return poll, clock


def stopped(poll: LongPoll) -> bool:
    done: list[object] = []
    Deferred.fromCoroutine(poll.stop()).addCallback(done.append)
    return bool(done)


def test_the_next_poll_follows_an_answer_at_once_and_a_failure_after_a_while() -> None:
    requests = Requests()
    poll, clock = made(requests)
    requests.waiting[-1].callback(None)
    assert len(requests.waiting) == 2
    requests.waiting[-1].errback(LinkError("lost"))
    clock.advance(60)
    assert len(requests.waiting) == 3
    assert stopped(poll)


def test_a_stop_ends_it_when_the_cancelled_poll_fails_in_its_own_way() -> None:
    requests = Requests(lambda waiting: waiting.errback(LinkError("the connection was lost at that moment")))
    poll, clock = made(requests)
    assert stopped(poll)
    clock.advance(60)
    assert len(requests.waiting) == 1


def test_a_stop_ends_it_when_the_cancelled_poll_has_an_answer() -> None:
    requests = Requests(lambda waiting: waiting.callback(None))
    poll, _ = made(requests)
    assert stopped(poll)
    assert len(requests.waiting) == 1


def test_a_stop_ends_the_wait_after_a_failure() -> None:
    requests = Requests()
    poll, clock = made(requests)
    requests.waiting[-1].errback(LinkError("lost"))
    assert stopped(poll)
    assert clock.getDelayedCalls() == []
