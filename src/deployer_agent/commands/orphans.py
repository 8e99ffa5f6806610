"""Processes that an earlier agent, which was killed, left behind: found by their footprints and ended."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, sleep
from deployer.protocol.commands import DEFAULT_GRACE_S
from deployer_agent.commands.runs import Footprints
from deployer_agent.processes.plan import Footprint

GRACE_S: Final = DEFAULT_GRACE_S
Clear = Callable[[Footprint, float], Coroutine[Deferred[Any], Any, None]]
Trace = Callable[[str, int], Footprint]
"""By what a task's run is found of which the journal knows no process: the mark in its environment, its cgroup."""


class Orphans:
    """Ends what was left; `gone` waits for that."""

    log = Logger()

    def __init__(self, footprints: Footprints, trace: Trace, clear: Clear, clock: Clock) -> None:
        self._footprints = footprints
        self._trace = trace
        self._clear = clear
        self._clock = clock
        self._ending: dict[str, Deferred[None]] = {}

    async def end(self, runs: Sequence[tuple[str, int]]) -> None:
        """Begin to end all processes that were noted, and those of runs (task, number) that nothing was noted of."""
        left = await self._footprints.left()
        noted = {footprint.marker for footprint in left}
        traces = [self._trace(task, number) for task, number in runs]
        for footprint in (*left, *(trace for trace in traces if trace.marker not in noted)):
            task = footprint.marker.partition(":")[2].rpartition(":")[0]
            done = Deferred.fromCoroutine(self._end(footprint))
            self._ending[task] = _both(self._ending.get(task), done)

    async def gone(self, task: str) -> None:
        """Wait until nothing of a task runs any more."""
        ending = self._ending.pop(task, None)
        if ending is not None:
            await ending

    async def all_gone(self) -> None:
        """Wait until nothing that was left runs any more."""
        await DeferredList([_watch(ending) for ending in self._ending.values()])

    async def _end(self, footprint: Footprint) -> None:
        """Its task waits until this is done: it must not run twice, whatever goes wrong here."""
        backoff = Backoff()
        while True:
            try:
                await self._clear(footprint, GRACE_S)
                break
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 (no descriptor is left, or the like)
                self.log.failure("what {marker} left could not be ended", marker=footprint.marker)
            await sleep(self._clock, backoff.next_delay())
        self._footprints.over(footprint)


def _both(first: Deferred[None] | None, second: Deferred[None]) -> Deferred[None]:
    if first is None:
        return second
    both: Deferred[None] = Deferred()
    DeferredList([first, second]).addCallback(lambda _: both.callback(None))
    return both


def _watch(ending: Deferred[None]) -> Deferred[None]:
    """A Deferred of our own that fires with one that somebody else awaits."""
    watcher: Deferred[None] = Deferred()
    ending.addCallback(watcher.callback)
    return watcher
