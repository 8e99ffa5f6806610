"""Repeated work that does not end with its first exception, as LoopingCall and TimerService do."""

from collections.abc import Awaitable, Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from deployer.kit.clock import Clock


class Periodic(Service):
    """Runs `work` every `period_s` seconds from start to stop, never two at once; a failure is logged and counted."""

    log = Logger()

    def __init__(
        self, what: str, period_s: float, work: Callable[[], Awaitable[None]], clock: Clock, *, now: bool = False
    ) -> None:
        self.what = what
        self.failures = 0
        self._period_s = period_s
        self._work = work
        self._now = now
        self._loop = LoopingCall(self._once)
        self._loop.clock = clock  # type: ignore[assignment]  # all it uses is seconds and callLater

    def startService(self) -> None:
        """Begin, at once when `now` was asked for, else after the first period."""
        Service.startService(self)
        self._loop.start(self._period_s, now=self._now)

    def stopService(self) -> None:
        """End; work that is under way finishes by itself."""
        Service.stopService(self)
        if self._loop.running:
            self._loop.stop()

    def _once(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._survive())

    async def _survive(self) -> None:
        try:
            await self._work()
        except Exception:  # noqa: BLE001 (whatever it was, the next round comes)
            self.failures += 1
            self.log.failure("{what} failed, failure number {count}", what=self.what, count=self.failures)
