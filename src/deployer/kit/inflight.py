"""Work that nobody awaits: known by number, ended with its owner, never failing in silence."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure


class Inflight:
    """Coroutines that run beside their caller."""

    log = Logger()

    def __init__(self) -> None:
        self._running: set[Deferred[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, what: str, work: Coroutine[Deferred[Any], Any, Any]) -> None:
        """Run `work`; a failure is logged under `what`."""
        running = Deferred.fromCoroutine(work)
        self._running.add(running)
        running.addBoth(self._ended, running, what)

    async def cancel(self) -> None:
        """Cancel all that runs and wait until it has ended."""
        running = list(self._running)
        for one in running:
            one.cancel()
        await DeferredList(running)

    async def settled(self) -> None:
        """Wait until all that runs now has ended."""
        await DeferredList(list(self._running))

    def _ended(self, outcome: object, running: Deferred[Any], what: str) -> None:
        self._running.discard(running)
        if isinstance(outcome, Failure) and not outcome.check(CancelledError):
            self.log.failure("{what} failed", failure=outcome, what=what)
