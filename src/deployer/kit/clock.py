"""What code that takes time is given: the smallest part of a reactor, so that tests pass `task.Clock`.

`seconds()` is monotonic: `tap` sees to it, since Twisted's is the wall clock and an NTP step would time every job out.
Wall-clock time, where a person or another machine reads it, is a callable of its own.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

WallClock = Callable[[], float]
"""Seconds since the epoch."""


class Call(Protocol):
    """What `callLater` returns."""

    def cancel(self) -> None:
        """Do not call."""

    def active(self) -> bool:
        """Tell whether the call is still to come."""


class Clock(Protocol):
    """Monotonic seconds and calls later."""

    def seconds(self) -> float:
        """Seconds on a clock that never steps."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> Call:  # noqa: A002 (Twisted's names)
        """Call after `delay` seconds."""


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait; cancelling the awaiting Deferred cancels the timer."""
    done: Deferred[None] = Deferred()
    call = clock.callLater(seconds, done.callback, None)
    try:
        await done
    finally:
        if call.active():
            call.cancel()


def epoch_ms(wall: WallClock) -> int:
    """Now as epoch milliseconds."""
    return int(wall() * 1000)


class Spawner(Protocol):
    """The part of a reactor that starts processes."""

    def spawnProcess(self, processProtocol: Any, executable: str, args: Any = (), env: Any = {}, **kw: Any) -> Any:  # noqa: N802, N803, B006 (Twisted's)
        """Start a process; its transport."""
