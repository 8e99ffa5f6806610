"""One process from its start to its end: its time, its silence and its memory are watched."""

from contextlib import suppress
from typing import Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready

from deployer.kit.clock import Call, Clock, WallClock, epoch_ms
from deployer_agent.errors import RefusedError
from deployer_agent.processes.child import Child, Exit
from deployer_agent.processes.ending import KILL, Ending
from deployer_agent.processes.plan import Emit, Ended, EndedBy, Ender, Footprint, Launch, Living, Plan, Running
from deployer_agent.processes.signals import name_of

MEMORY_S: Final = 2.0
"""How often the memory of what has a `max_memory` is looked at."""

NOBODY: Final = Footprint(pid=-1, start=0, boot="", marker="")


class Run:
    """One process. `done` fires once: with how it ended, or with the RefusedError of one that could not begin."""

    def __init__(self, plan: Plan, emit: Emit, ender: Ender, clock: Clock, wall: WallClock) -> None:
        self._plan = plan
        self._ender = ender
        self._clock = clock
        self._by: EndedBy = ""
        self._why: str | None = None
        self._ending: Ending | None = None
        self._exit: Exit | None = None
        self._most_memory = 0
        self._delivered: set[int] = set()
        self._timers: dict[str, Call] = {}
        self._begun_ms = epoch_ms(wall)
        self._begun = clock.seconds()
        self.footprint = NOBODY
        self.done: Deferred[Ended] = Deferred()
        self.child = Child(clock, emit, self._exited, self._ended)

    def start(self, launch: Launch) -> None:
        """Launch; RefusedError when that cannot be done."""
        process: Running = launch(self._plan, self.child)
        self.child.process = process
        self.footprint = process.footprint
        self._most_memory = self._plan.max_memory or getattr(process, "memory_limit", 0)
        if self._plan.data:
            process.feed(self._plan.data.encode("utf-8", "surrogatepass"))
        if self.child.alive:
            self._watch()

    def end(self, by: EndedBy, why: str | None = None, *, number: int | None = None) -> None:
        """Its stop signal to everything it started, KILL after the grace. The first reason stays."""
        if self._by:
            if number == KILL and self._ending is not None:
                self._ending.kill_now()
            return
        if not self.child.alive:
            return
        self._by, self._why = by, why
        self._unwatch()
        number = self._plan.stop_signal if number is None else number
        self._ending = Ending(
            self._ender, self.footprint, self._clock, self._settle, number=number, grace=self._plan.grace
        )

    def limit(self, max_time: float) -> None:
        """End it when it has run so many seconds, whatever was said before; 0: never."""
        self._plan = replace(self._plan, max_time=max_time)
        if (timer := self._timers.pop("time", None)) is not None and timer.active():
            timer.cancel()
        if self.child.alive and not self._by and max_time > 0:
            left = max_time - (self._clock.seconds() - self._begun)
            self._later("time", max(left, 0.0), lambda: self.end("MAX_TIME"))

    def deliver(self, number: int) -> None:
        """Send a signal to the process itself and nothing more."""
        if self.child.alive and self.child.process is not None:
            self._delivered.add(number)
            with suppress(ProcessExitedAlready):
                self.child.process.signalProcess(number)

    @property
    def living(self) -> Living:
        """How it stands."""
        age_s = self._clock.seconds() - self._begun
        return Living(self._plan.task, self._plan.run, self.footprint.pid, self._begun_ms, age_s)

    def _watch(self) -> None:
        plan = self._plan
        if plan.max_time > 0:
            self._later("time", plan.max_time, lambda: self.end("MAX_TIME"))
        if plan.watchdog:
            self._later("silence", plan.watchdog, self._check_silence)
        if self._most_memory:
            self._later("memory", MEMORY_S, self._check_memory)

    def _check_silence(self) -> None:
        left = self.child.heard + self._plan.watchdog - self._clock.seconds()
        if self.child.held or left > 0:
            self._later("silence", left if left > 0 else self._plan.watchdog, self._check_silence)
        else:
            self.end("LIMIT", f"it was silent for {self._plan.watchdog:g} s")

    def _check_memory(self) -> None:
        used = self._ender.memory(self.footprint)
        if used > self._most_memory:
            self.end("LIMIT", f"it used {used} bytes of memory, more than its {self._most_memory}")
        else:
            self._later("memory", MEMORY_S, self._check_memory)

    def _exited(self) -> None:
        if not self._by:
            self._unwatch()

    def _ended(self, how: Exit) -> None:
        self._exit = how
        self._settle()

    def _settle(self) -> None:
        """It has ended when its output is read and, where we ended it, nobody of it is left."""
        if self._exit is None or self.done.called or not self._all_gone():
            return
        refusal: RefusedError | None = getattr(self.child.process, "refusal", None)
        outcome = self._outcome(*self._exit)
        if refusal is None or self._by:  # what we ended may have failed because of that
            self.done.callback(outcome)
        else:
            self.done.errback(refusal)

    def _all_gone(self) -> bool:
        return not self._by or (self._ending is not None and self._ending.over)

    def _outcome(self, status: int | None, number: int | None) -> Ended:
        by, why = self._judged(number)
        level, data = self.child.result
        return Ended(
            exit_status=status,
            signal=None if number is None else name_of(number),
            by=by,
            why=why,
            level=level,
            data=data,
            starttime=self._begun_ms,
            time=int((self._clock.seconds() - self._begun) * 1000),
            pid=max(self.footprint.pid, 0),
        )

    def _judged(self, number: int | None) -> tuple[EndedBy, str | None]:
        """Who ended it: we, the kernel because of its memory, or a signal that was sent on demand."""
        if self._by or number is None:
            return self._by, self._why
        if number == KILL and self._ender.over_memory(self.footprint):
            return "LIMIT", "the kernel ended it: it used more memory than it may"
        if number in self._delivered:
            return "KILLED", f"it was ended by {name_of(number)}, which was sent on demand"
        return "", None

    def _later(self, what: str, seconds: float, call: object) -> None:
        self._timers[what] = self._clock.callLater(seconds, call)  # type: ignore[arg-type]  # a callable of ours

    def _unwatch(self) -> None:
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._timers.clear()
