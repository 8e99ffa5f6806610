"""What runs on this host: started, limited in time, ended whole, and told of when it has ended."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from deployer.kit.clock import Clock, WallClock
from deployer.kit.failpoints import reach
from deployer_agent.processes.ending import KILL, TERM, Ending
from deployer_agent.processes.plan import Emit, Ended, EndedBy, Ender, Footprint, Launch, Living, Plan
from deployer_agent.processes.run import Run

LIMITS: Final = 10_000
"""So many tasks whose limit was changed are known at once."""


class Notes(Struct, frozen=True):
    """Who is told when a process has begun and when nothing of it has to be found any more."""

    begun: Callable[[Footprint], None] = lambda _: None
    over: Callable[[Footprint], None] = lambda _: None


class Manager:
    """All processes of this agent, by their task."""

    log = Logger()

    def __init__(self, launch: Launch, ender: Ender, clock: Clock, wall: WallClock, notes: Notes | None = None) -> None:
        self._launch = launch
        self._ender = ender
        self._clock = clock
        self._wall = wall
        self._notes = notes or Notes()
        self._runs: dict[str, Run] = {}
        self._held = False
        self._held_tasks: set[str] = set()
        self._limits: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._runs)

    async def run(self, plan: Plan, emit: Emit) -> Ended:
        """Run it to its end; RefusedError when it cannot be started."""
        if plan.task in self._limits:
            plan = replace(plan, max_time=self._limits[plan.task])
        run = Run(plan, emit, self._ender, self._clock, self._wall)
        run.start(self._launch)
        reach("spawned")
        self._runs[plan.task] = run
        self._notes.begun(run.footprint)
        if self._held or plan.task in self._held_tasks:
            run.child.hold(held=True)
        try:
            return await run.done
        finally:
            del self._runs[plan.task]
            if plan.whole:
                await self.clear(run.footprint, plan.grace)
            self._ender.forget(run.footprint)
            self._limits.pop(plan.task, None)
            self._notes.over(run.footprint)

    def end(self, task: str, by: EndedBy, number: int | None = None) -> bool:
        """End a task's process, beginning with a signal other than its plan's if one is given; False: none runs."""
        run = self._runs.get(task)
        if run is not None:
            run.end(by, number=number)
        return run is not None

    def end_all(self, by: EndedBy = "KILLED") -> int:
        """End everything that runs now; returns how many processes that are."""
        runs = list(self._runs.values())
        for run in runs:
            run.end(by)
        return len(runs)

    def living(self) -> list[Living]:
        """Return what runs, the oldest first."""
        return [run.living for run in self._runs.values() if run.footprint.pid > 0]

    def pids(self, task: str) -> list[int]:
        """Return the processes of a task, with all that they started; none when none runs."""
        run = self._runs.get(task)
        return [] if run is None else self._ender.members(run.footprint)

    def seen(self, task: str) -> list[int]:
        """Return the processes of a task as far as they are known without looking; none when none runs."""
        run = self._runs.get(task)
        return [] if run is None else self._ender.seen(run.footprint)

    def limit(self, task: str, max_time: float) -> None:
        """Give a task's process another time limit (s, 0: none), now or when it is started."""
        self._limits.pop(task, None)
        self._limits[task] = max_time
        if len(self._limits) > LIMITS:
            del self._limits[next(iter(self._limits))]
        run = self._runs.get(task)
        if run is not None:
            run.limit(max_time)

    def signal(self, task: str, number: int) -> bool:
        """Send a signal to a task's process and leave it at that; False when none runs."""
        run = self._runs.get(task)
        if run is not None:
            run.deliver(number)
        return run is not None

    async def clear(self, footprint: Footprint, grace: float) -> None:
        """End all that a process left behind which has itself ended, here or under an earlier agent."""
        if self._ender.members(footprint) or self._ender.signal(footprint, KILL):  # whom no look sees
            done: Deferred[None] = Deferred()
            Ending(self._ender, footprint, self._clock, lambda: done.callback(None), number=TERM, grace=grace)
            await done

    def hold(self, *, held: bool) -> None:
        """Stop, or go on, reading what all processes print."""
        self._held = held
        for task, run in self._runs.items():
            run.child.hold(held=held or task in self._held_tasks)

    def hold_one(self, task: str, held: bool) -> None:  # noqa: FBT001 (a callable of two values)
        """Stop, or go on, reading what one task prints."""
        (self._held_tasks.add if held else self._held_tasks.discard)(task)
        run = self._runs.get(task)
        if run is not None:
            run.child.hold(held=held or self._held)

    async def stop(self, by: EndedBy = "AGENT_STOPPED") -> None:
        """End everything that runs; returns when all of it has ended."""
        runs = list(self._runs.values())
        self.end_all(by)
        await DeferredList([_watched(run.done) for run in runs])


def _watched(done: Deferred[Ended]) -> Deferred[None]:
    """A Deferred of our own that fires with another's, which somebody else awaits."""
    watcher: Deferred[None] = Deferred()

    def told(ended: Ended) -> Ended:
        watcher.callback(None)
        return ended

    done.addCallback(told)
    return watcher
