"""Waiting for what others publish: a poll for commands, a client for its job, a tail for more lines.

A waiter notes what comes between its look at the store and its wait, so nothing is missed. Whoever waits looks again by
itself every 15 s, and all are woken after each (re)subscription, so a lost publication costs time and nothing else.
"""

from collections import defaultdict
from types import TracebackType
from typing import Final, Self

from twisted.internet.defer import Deferred

from deployer.kit.clock import Clock

LOOK_AGAIN_S: Final = 15.0


class Hub:
    """Who waits for which text on which channel."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.closed = False
        self._waiters: defaultdict[tuple[str, str], set[Waiter]] = defaultdict(set)

    def heard(self, channel: str, text: str) -> None:
        """Wake who waits for this."""
        for waiter in tuple(self._waiters.get((channel, text), ())):
            waiter.wake()

    def wake_all(self) -> None:
        """Wake everyone: something may have been missed."""
        for waiters in tuple(self._waiters.values()):
            for waiter in tuple(waiters):
                waiter.wake()

    def close(self) -> None:
        """Nobody waits any more: who does is woken, and has no time left."""
        self.closed = True
        self.wake_all()

    def left(self, end: float) -> float:
        """How many seconds there are until a time of the clock; none when nobody is to wait."""
        return 0.0 if self.closed else end - self.clock.seconds()

    def waiter(self, *topics: tuple[str, str]) -> "Waiter":
        """A waiter for any of these (channel, text); use it in a `with`."""
        return Waiter(self, topics)

    def add(self, waiter: "Waiter") -> None:
        """Let it be woken from now on."""
        for topic in waiter.topics:
            self._waiters[topic].add(waiter)

    def remove(self, waiter: "Waiter") -> None:
        """Forget it."""
        for topic in waiter.topics:
            self._waiters[topic].discard(waiter)
            if not self._waiters[topic]:
                del self._waiters[topic]

    def __len__(self) -> int:
        return len(self._waiters)


class Waiter:
    """One who waits, from `with` to its end."""

    def __init__(self, hub: Hub, topics: tuple[tuple[str, str], ...]) -> None:
        self._hub = hub
        self.topics = topics
        self._woken = False
        self._waiting: Deferred[None] | None = None

    def __enter__(self) -> Self:
        self._hub.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.remove(self)

    def wake(self) -> None:
        """Something happened."""
        self._woken = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def seen(self) -> None:
        """What happened so far is about to be looked at."""
        self._woken = False

    async def wait(self, seconds: float) -> bool:
        """Wait until woken since `seen()`, at most so long; whether it was."""
        if self._woken:
            return True
        self._waiting = Deferred()
        timer = self._hub.clock.callLater(min(seconds, LOOK_AGAIN_S), self._time_out)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()
        return self._woken

    def _time_out(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
