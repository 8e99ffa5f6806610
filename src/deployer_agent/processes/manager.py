"""What runs on this host: started, limited in time, ended whole, and told of when it has ended."""

from typing import Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from deployer.kit.clock import Call, Clock, WallClock, epoch_ms
from deployer_agent.processes.child import Child, Exit
from deployer_agent.processes.plan import Emit, Ended, EndedBy, Ender, Launch, Plan, Running

LOOK_S: Final = 0.1
"""How often we look whether all of a session that is being ended has gone."""

UNKILLABLE_S: Final = 10.0
"""How long after KILL we wait for what even KILL does not end (the kernel holds it)."""


class Run:
    """One process from its start to its end."""

    def __init__(self, plan: Plan, emit: Emit, ender: Ender, clock: Clock, wall: WallClock) -> None:
        self._plan = plan
        self._ender = ender
        self._clock = clock
        self._by: EndedBy = ""
        self._timer: Call | None = None
        self._exit: Exit | None = None
        self._kill_at = 0.0
        self._begun_ms = epoch_ms(wall)
        self._begun = clock.seconds()
        self._session = 0
        self.done: Deferred[Ended] = Deferred()
        self.child = Child(clock, emit, self._exited, self._ended)

    def start(self, launch: Launch) -> None:
        """Launch; RefusedError when that cannot be done."""
        process: Running = launch(self._plan, self.child)
        self.child.process = process
        self._session = process.session
        if self._plan.data:
            process.feed(self._plan.data.encode("utf-8", "surrogatepass"))
        if self._plan.max_time and self.child.alive:
            self._timer = self._clock.callLater(self._plan.max_time, self.end, "MAX_TIME")

    def end(self, by: EndedBy) -> None:
        """TERM to the whole session, KILL after the grace. The first reason stays."""
        if self._by or not self.child.alive:
            return
        self._by = by
        self._cancel_timer()
        self._kill_at = self._clock.seconds() + self._plan.grace
        self._signal(force=self._plan.grace == 0)
        self._timer = self._clock.callLater(min(LOOK_S, self._plan.grace), self._look)

    def _look(self) -> None:
        """See whether somebody is left, and KILL when the grace is over."""
        self._timer = None
        late = self._clock.seconds() - self._kill_at
        left = self._signal(force=True) if late >= 0 else self._count()
        if self.child.alive or (left and late < UNKILLABLE_S):
            self._timer = self._clock.callLater(LOOK_S, self._look)
        self._settle()

    def _signal(self, *, force: bool) -> int:
        return self._ender.end(self._session, leader_lives=self.child.alive, force=force)

    def _count(self) -> int:
        return len(self._ender.members(self._session, leader_lives=self.child.alive))

    def _exited(self) -> None:
        if not self._by:
            self._cancel_timer()

    def _ended(self, how: Exit) -> None:
        self._exit = how
        self._settle()

    def _settle(self) -> None:
        """It has ended when its output is read and, where we ended it, nobody of its session is left."""
        if self._exit is None or self._timer is not None or self.done.called:
            return
        status, signal = self._exit
        level, data = self.child.result
        took = int((self._clock.seconds() - self._begun) * 1000)
        ended = Ended(
            exit_status=status,
            signal=signal,
            by=self._by,
            level=level,
            data=data,
            starttime=self._begun_ms,
            time=took,
        )
        self.done.callback(ended)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class Manager:
    """All processes of this agent, by their task."""

    log = Logger()

    def __init__(self, launch: Launch, ender: Ender, clock: Clock, wall: WallClock) -> None:
        self._launch = launch
        self._ender = ender
        self._clock = clock
        self._wall = wall
        self._runs: dict[str, Run] = {}
        self._held = False

    def __len__(self) -> int:
        return len(self._runs)

    async def run(self, plan: Plan, emit: Emit) -> Ended:
        """Run it to its end; RefusedError when it cannot be started."""
        run = Run(plan, emit, self._ender, self._clock, self._wall)
        run.start(self._launch)
        self._runs[plan.task] = run
        if self._held:
            run.child.hold(held=True)
        try:
            return await run.done
        finally:
            del self._runs[plan.task]

    def kill(self, task: str) -> bool:
        """End a task's process; False when none runs."""
        run = self._runs.get(task)
        if run is not None:
            run.end("KILLED")
        return run is not None

    def hold(self, *, held: bool) -> None:
        """Stop, or go on, reading what all processes print."""
        self._held = held
        for run in self._runs.values():
            run.child.hold(held=held)

    async def stop(self) -> None:
        """End everything because the agent ends; returns when all has ended."""
        runs = list(self._runs.values())
        for run in runs:
            run.end("AGENT_STOPPED")
        await DeferredList([_watched(run.done) for run in runs])


def _watched(done: Deferred[Ended]) -> Deferred[None]:
    """A Deferred of our own that fires with another's, which somebody else awaits."""
    watcher: Deferred[None] = Deferred()

    def told(ended: Ended) -> Ended:
        watcher.callback(None)
        return ended

    done.addCallback(told)
    return watcher
