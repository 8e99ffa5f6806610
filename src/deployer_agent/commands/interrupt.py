"""The word to a task that it is to end, and the waking of whatever it waits for."""

from typing import Literal

from twisted.internet.defer import Deferred

from deployer.kit.clock import Clock

Reason = Literal["", "KILLED", "AGENT_STOPPED"]


class Interrupt:
    """`reason` is empty until the task is to end; a kill counts for more than the agent's own end."""

    def __init__(self) -> None:
        self.reason: Reason = ""
        self._waiting: Deferred[None] | None = None

    def set(self, reason: Reason) -> None:
        """The task is to end."""
        if self.reason != "KILLED":
            self.reason = reason
        self.wake()

    def wake(self) -> None:
        """Whatever the task waits for has come."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)

    async def wait(self) -> None:
        """Until it is woken, or is to end."""
        if not self.reason:
            self._waiting = Deferred()
            await self._waiting

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """For so long, or until it is to end."""
        call = clock.callLater(max(0.0, seconds), self.wake)
        try:
            await self.wait()
        finally:
            if call.active():
                call.cancel()
