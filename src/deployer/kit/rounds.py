"""Work that comes in rounds: one follows the other while there is something to do, then there is a pause."""

from collections.abc import Awaitable, Callable

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from deployer.kit.clock import Clock, sleep

PAUSE_S = 1.0


class Rounds(Service):
    """From start to stop. `once` does a round and says whether another one may follow at once.

    A failure of one of the kinds `quiet` is a reason for a pause and nothing more; any other is logged and counted.
    """

    log = Logger()

    def __init__(
        self,
        what: str,
        once: Callable[[], Awaitable[bool]],
        clock: Clock,
        quiet: tuple[type[Exception], ...] = (),
    ) -> None:
        self.what = what
        self.failures = 0
        self._once = once
        self._clock = clock
        self._quiet = quiet
        self._running: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin."""
        Service.startService(self)
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def stopService(self) -> None:
        """End, in the middle of a round if need be."""
        Service.stopService(self)
        if self._running is not None:
            self._running.cancel()
            await self._running

    async def _run(self) -> None:
        while self.running:
            seconds = 0.0 if await self._survive() else PAUSE_S
            if self.running:
                await sleep(self._clock, seconds)

    async def _survive(self) -> bool:
        """Do a round; whether the next one may follow at once."""
        try:
            return await self._once()
        except self._quiet:
            pass
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 (whatever it was, the next round comes)
            self.failures += 1
            self.log.failure("{what} failed, failure number {count}", what=self.what, count=self.failures)
        return False
