"""One task's runs, from the first to the one after which there is none: restarts, periods, the word to end.

A run is started only when the journal has it as begun; its record is in the journal before the next one begins. So a
task whose agent dies goes on, after the restart, with a run that nobody has started yet (RELIABILITY 2.5).
"""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.protocol import codes, levels
from deployer.protocol.commands import RunArgs
from deployer.protocol.results import Result
from deployer_agent.commands import outcome
from deployer_agent.commands.registry import Task
from deployer_agent.errors import RefusedError
from deployer_agent.journal.records import History, Key
from deployer_agent.processes.plan import Emit, Ended, Plan
from deployer_agent.processes.restarts import Again, Over, RunEnd, Terms, after, next_due


class Ways(Struct, frozen=True):
    """What a supervisor needs of its neighbours.

    `check` finds results that are none. `begin` and `record` return when it is in the journal. `rest` gives the task's
    place among what runs to others, `resume` waits until it has one again or is to end.
    """

    run: Callable[[Plan, Emit], Coroutine[Deferred[Any], Any, Ended]]
    begin: Callable[[Key, int, int], Coroutine[Deferred[Any], Any, None]]
    check: Callable[[Result], Coroutine[Deferred[Any], Any, Result]]
    record: Callable[[Key, Result, History], Coroutine[Deferred[Any], Any, None]]
    rest: Callable[[Task], None]
    resume: Callable[[Task], Coroutine[Deferred[Any], Any, None]]


class Work(Struct, frozen=True):
    """What is run: the plan of each run by its number, who hears what it prints, and our own messages about it."""

    plan: Callable[[int], Plan]
    listen: Emit
    say: Emit


class Supervisor:
    """Runs processes as often as their terms say."""

    def __init__(self, ways: Ways, clock: Clock, wall: WallClock) -> None:
        self._ways = ways
        self._clock = clock
        self._wall = wall

    async def __call__(self, task: Task, work: Work) -> Result | None:
        """Run it to its end; None when it goes on with the agent's next start. RefusedError: it cannot be started."""
        return await Supervision(task, work, self._ways, self._clock, self._wall).go()


class Supervision:
    """One task under way."""

    log = Logger()

    def __init__(self, task: Task, work: Work, ways: Ways, clock: Clock, wall: WallClock) -> None:
        args: RunArgs = task.args
        self._task = task
        self._work = work
        self._ways = ways
        self._clock = clock
        self._wall = wall
        self._terms = Terms(long_running=args.long_running, period_s=args.recurring_period, restarts=args.restarts)
        self._number = task.history.begun
        self._early = task.history.early
        self._due = task.history.due or epoch_ms(wall)
        self._missed = 0

    async def go(self) -> Result | None:
        """Run after run."""
        if self._number == 0:  # the journal noted the first run as begun when it was this task's turn
            self._number = 1
        elif not await self._next(self._again_after_restart()):
            return self._stopped()
        while True:
            began = self._clock.seconds()
            result = await self._once()
            verdict = after(self._terms, self._end_of(result, self._clock.seconds() - began), self._early)
            final = self._final(result, verdict)
            if final is not None:
                return final
            if isinstance(verdict, Again):
                self._early = verdict.early
            await self._ways.record(self._task.entry.key, result, self._history())
            if self._task.interrupt.reason or not await self._next(verdict):
                return self._stopped()

    async def _once(self) -> Result:
        id_, number = self._task.id, self._number
        try:
            ended = await self._ways.run(self._work.plan(number), self._work.listen)
        except RefusedError as error:
            if number == 1:
                raise
            result = outcome.refused_run(id_, number, error, epoch_ms(self._wall))
        else:
            result = await self._ways.check(outcome.of_process(id_, number, ended))
        return msgspec.structs.replace(result, missed=self._missed) if self._missed else result

    def _end_of(self, result: Result, took_s: float) -> RunEnd:
        return RunEnd(failed=result.state != "OK", asked=result.state == "KILLED", took_s=took_s)

    def _final(self, result: Result, verdict: Again | Over) -> Result | None:
        """The task's result, if this run was its last; None when another follows, now or after the agent's restart."""
        reason = self._task.interrupt.reason
        if reason == "KILLED":
            return outcome.killed_for_good(result) if self._task.remembered else result
        if reason == "AGENT_STOPPED" and self._task.remembered:
            return None
        if reason == "AGENT_STOPPED" or isinstance(verdict, Over):
            return self._give_up(result) if isinstance(verdict, Over) and verdict.given_up else result
        return None

    def _give_up(self, result: Result) -> Result:
        """It has failed early too often: say so on level 9."""
        times = self._terms.restarts + 1
        reason = f"it ended {times} times in a row within 5 minutes and is not started again"
        self._work.say([(levels.CRITICAL, f"{reason}; the last time: {result.reason or 'it ended with status 0'}", 0)])
        return outcome.given_up(result, reason) if self._terms.long_running else result

    async def _next(self, verdict: Again | Over) -> bool:
        """Wait until the next run is due and note it as begun; False when the task is to end instead."""
        if isinstance(verdict, Again) and verdict.delay_s is not None:
            self._missed = 0
            await self._task.interrupt.sleep(self._clock, verdict.delay_s)
        else:
            await self._wait_for_period()
        if self._task.interrupt.reason:
            return False
        self._number += 1
        await self._ways.begin(self._task.entry.key, self._number, self._due)
        return not self._task.interrupt.reason

    async def _wait_for_period(self) -> None:
        """Its place goes to others meanwhile. Only the length of the wait is taken from the wall clock."""
        now = epoch_ms(self._wall)
        due = next_due(min(self._due, now), self._terms.period_s, now)
        self._due, self._missed = due.at, due.missed
        if due.missed:
            self._work.say([(levels.WARNING, f"{due.missed} periods of {self._terms.period_s:g} s were missed", 0)])
        self._ways.rest(self._task)
        await self._task.interrupt.sleep(self._clock, (due.at - now) / 1000)
        await self._ways.resume(self._task)

    def _again_after_restart(self) -> Again:
        """What was remembered goes on: at its period, or at once."""
        return Again(self._early, None if self._terms.period_s else 0.0)

    def _stopped(self) -> Result | None:
        """It is ended between two runs: for good, or until the agent's next start."""
        reason = self._task.interrupt.reason
        if reason == "AGENT_STOPPED" and self._task.remembered:
            return None
        return outcome.ended_between_runs(self._task.id, self._number, codes.KILLED if reason == "KILLED" else reason)

    def _history(self) -> History:
        return History(begun=self._number, ended=self._number, early=self._early, due=self._due)
