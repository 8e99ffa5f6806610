"""Whether Redis would take a write now, found out by one that changes nothing."""

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError

from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import Clock
from deployer.stores import keys
from deployer.stores.redis import Redis

ANSWER_S: Final = 2.0
"""A balancer waits no longer than this either, so we say what we know by then."""


class Probe:
    """`SET … XX` of a key that never exists: no write for memory, disk or replicas, and refused whenever one would be.

    That is what tells a read-only replica, a full server and one that cannot write to its disk from a good one: all of
    them answer PING.
    """

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    async def trouble(self) -> str | None:
        """What is wrong, in a sentence; None when Redis takes writes."""
        if not self._redis.connected:
            return "redis is not connected"
        asked = Deferred.fromCoroutine(self._redis.call("SET", keys.PROBE, "", "XX"))
        asked.addTimeout(ANSWER_S, self._clock)  # type: ignore[arg-type]  # all it uses is callLater
        try:
            await asked
        except DeadlineError:
            return f"redis has not answered for {ANSWER_S:g} s"
        except NoSpaceError:
            return "redis is full: nothing new can be kept"
        except UnavailableError as error:
            return f"redis takes no writes: {error}"
        return None
