"""A master that starts while Redis comes and goes."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from deployer.errors import StartError, UnavailableError
from deployer.stores.server import AGAIN_S, patiently


class _Redis:
    """Which goes away so many times."""

    def __init__(self, failures: int) -> None:
        self.asked = 0
        self._failures = failures

    async def ask(self) -> str:
        self.asked += 1
        if self.asked <= self._failures:
            raise UnavailableError("Redis went away")
        return "here"


def test_what_redis_does_not_answer_during_the_start_is_asked_again() -> None:
    clock, redis = Clock(), _Redis(3)
    answer = Deferred.fromCoroutine(patiently(redis.ask, clock, 60.0))
    clock.pump([AGAIN_S] * 2)
    assert not answer.called
    clock.advance(AGAIN_S)
    assert (answer.result, redis.asked) == ("here", 4)


async def test_a_start_is_given_up_when_redis_does_not_stay() -> None:
    clock, redis = Clock(), _Redis(1000)
    answer = Deferred.fromCoroutine(patiently(redis.ask, clock, 10.0))
    clock.pump([AGAIN_S] * 22)
    with pytest.raises(StartError, match="again and again during the start: Redis went away"):
        await answer
