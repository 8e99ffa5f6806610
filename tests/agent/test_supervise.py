"""Runs of one task, with a launcher that does what the test says and a clock that the test moves."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from deployer.protocol import codes
from deployer.protocol.commands import ExecuteArgs, SignedCommand
from deployer.protocol.results import Result
from deployer_agent.commands.registry import Handler, Task, of
from deployer_agent.commands.supervise import Supervisor, Ways, Work
from deployer_agent.errors import RefusedError
from deployer_agent.journal.records import Entry, History, Key
from deployer_agent.processes.output import Output
from deployer_agent.processes.plan import Ended, Plan

EPOCH_S = 1_800_000_000.0


async def nothing(task: Task) -> None:
    """No handler."""


class Stage:
    """A supervisor with its neighbours: everything that is told to one of them is in `events`, in order."""

    def __init__(self, history: History = History(), **args: Any) -> None:
        self.clock = Clock()
        self.events: list[Any] = []
        self.running: Deferred[Ended] | None = None
        self.refuse_run = 0
        command = SignedCommand(
            id="t", company="c", gid=1, nid=1, cmd="execute", args=Raw(b"{}"), data_sha256="", created=0, not_after=0
        )
        arguments = msgspec.convert({"cmd": "x", **args}, ExecuteArgs)
        self.task = Task(Entry(command, "", ""), Handler(of(ExecuteArgs), nothing), arguments, history)
        ways = Ways(self._run, self._begin, self._check, self._record, self._rest, self._resume)
        supervisor = Supervisor(ways, self.clock, lambda: EPOCH_S + self.clock.seconds())
        work = Work(lambda run: Plan(task="t", run=run, executable="x"), self._say, self._say)
        self.outcome: list[Any] = []
        going = Deferred.fromCoroutine(supervisor(self.task, work))
        going.addBoth(self.outcome.append)

    async def _run(self, plan: Plan, emit: object) -> Ended:
        self.events.append(f"run {plan.run}")
        if self.refuse_run == plan.run:
            raise RefusedError(codes.NOT_FOUND, "x does not exist")
        self.running = Deferred()
        return await self.running

    async def _begin(self, key: Key, number: int, due: int) -> None:
        self.events.append(f"begin {number}")

    async def _check(self, result: Result) -> Result:
        return result

    async def _record(self, key: Key, result: Result, history: History) -> None:
        self.events.append((result.run, result.state, result.code, result.missed))
        self.history = history

    def _rest(self, task: Task) -> None:
        self.events.append("rest")

    async def _resume(self, task: Task) -> None:
        self.events.append("resume")

    def _say(self, output: Output) -> None:
        self.events += output

    def end(self, status: int | None = 0, *, by: Any = "", signal: str | None = None) -> None:
        """The present run ends."""
        running, self.running = self.running, None
        assert running is not None
        running.callback(
            Ended(exit_status=status, signal=signal, by=by, level=0, data="", starttime=int(EPOCH_S * 1000), time=1)
        )

    def interrupt(self, reason: Any) -> None:
        """The task is to end; what runs is ended."""
        self.task.interrupt.set(reason)
        if self.running is not None:
            self.end(None, by=reason, signal="SIGTERM")

    def told(self) -> list[Any]:
        """What was told since the last time."""
        events, self.events = self.events, []
        return events

    @property
    def result(self) -> Result:
        """How the task ended."""
        assert isinstance(self.outcome[0], Result)
        return self.outcome[0]


def test_a_plain_job_runs_once() -> None:
    stage = Stage()
    stage.end(0)
    assert stage.told() == ["run 1"]
    assert (stage.result.state, stage.result.run) == ("OK", 1)


def test_a_long_running_process_is_started_again_after_a_growing_wait() -> None:
    stage = Stage(max_time=-1)
    for number, wait in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 16)):
        assert stage.told()[-1] == f"run {number}"
        stage.end(0)
        stage.clock.advance(wait - 0.001)
        assert stage.told() == [(number, "OK", None, 0)]
        stage.clock.advance(0.001)
    assert stage.told() == ["begin 6", "run 6"]
    stage.end(3)
    assert stage.told()[0][0] == 9
    assert (stage.result.state, stage.result.code, stage.result.exit_status) == ("ERROR", codes.RESTART_LIMIT, 3)


def test_five_good_minutes_make_early_ends_forgotten() -> None:
    stage = Stage(max_time=-1, max_restart=1)
    stage.end(1)
    stage.clock.advance(1)
    stage.clock.advance(300)
    stage.end(1)
    assert stage.history == History(begun=2, ended=2, early=0, due=stage.history.due)
    stage.clock.advance(1)
    stage.end(1)
    stage.clock.advance(1)
    assert stage.told()[-1] == "run 4"
    stage.end(1)
    assert stage.result.code == codes.RESTART_LIMIT


def test_a_job_with_restarts_that_never_succeeds_keeps_its_own_error() -> None:
    stage = Stage(max_restart=1)
    stage.end(2)
    stage.clock.advance(1)
    stage.end(4)
    assert (stage.result.state, stage.result.code, stage.result.exit_status) == ("ERROR", codes.EXIT_STATUS, 4)
    assert [event for event in stage.told() if isinstance(event, tuple) and event[0] == 9]


def test_a_recurring_job_keeps_its_grid_and_counts_what_it_missed() -> None:
    stage = Stage(recurring_period=10)
    stage.clock.advance(3)
    stage.end(1)
    assert stage.told() == ["run 1", (1, "ERROR", codes.EXIT_STATUS, 0), "rest"]
    stage.clock.advance(7)
    assert stage.told() == ["resume", "begin 2", "run 2"]
    stage.clock.advance(35)
    stage.end(0)
    assert stage.told() == [(2, "OK", None, 0), (7, "3 periods of 10 s were missed", 0), "rest"]
    stage.clock.advance(5)
    assert stage.told() == ["resume", "begin 3", "run 3"]
    stage.end(0)
    assert stage.told()[0] == (3, "OK", None, 3)


@pytest.mark.parametrize("args", [{"max_time": -1}, {"recurring_period": 10}])
def test_killall_ends_a_run_and_a_kill_the_task(args: dict[str, int]) -> None:
    stage = Stage(**args)
    stage.end(None, by="KILLED", signal="SIGTERM")
    stage.clock.advance(10)
    assert stage.told()[-2:] == ["begin 2", "run 2"]
    stage.interrupt("KILLED")
    assert (stage.result.state, stage.result.code, stage.result.run) == ("KILLED", codes.KILLED, 2)


def test_a_kill_between_two_runs_is_told_at_once() -> None:
    stage = Stage(recurring_period=1000)
    stage.end(0)
    stage.interrupt("KILLED")
    assert (stage.result.state, stage.result.code, stage.result.run) == ("KILLED", codes.KILLED, 1)
    assert stage.result.starttime == 0


@pytest.mark.parametrize("args", [{"max_time": -1}, {"recurring_period": 10}])
def test_what_is_remembered_goes_on_after_the_agents_end(args: dict[str, int]) -> None:
    stage = Stage(**args)
    stage.interrupt("AGENT_STOPPED")
    assert stage.outcome == [None]
    assert stage.told() == ["run 1", (1, "KILLED", codes.AGENT_STOPPED, 0)]
    again = Stage(stage.history, **args)
    again.clock.advance(10)
    assert again.told()[-2:] == ["begin 2", "run 2"]


def test_the_agents_end_is_no_failure_of_what_it_ends() -> None:
    stage = Stage(History(begun=3, ended=3, early=2, due=1), max_time=-1)
    stage.clock.advance(0)
    stage.interrupt("AGENT_STOPPED")
    assert stage.history.early == 2


def test_a_job_that_waits_to_be_repeated_ends_with_the_agent() -> None:
    stage = Stage(max_restart=3)
    stage.end(1)
    stage.interrupt("AGENT_STOPPED")
    assert (stage.result.state, stage.result.code) == ("KILLED", codes.AGENT_STOPPED)


def test_what_cannot_be_started_is_refused_the_first_time_and_a_failure_later() -> None:
    stage = Stage(max_time=-1, max_restart=1)
    stage.refuse_run = 2
    stage.end(1)
    stage.clock.advance(1)
    assert (stage.result.state, stage.result.code, stage.result.run) == ("ERROR", codes.RESTART_LIMIT, 2)


def test_a_program_that_never_was_there_is_an_error_at_once() -> None:
    class Refusing(Stage):
        async def _run(self, plan: Plan, emit: object) -> Ended:
            raise RefusedError(codes.NOT_FOUND, "x does not exist")

    stage = Refusing(max_time=-1)
    assert stage.outcome[0].check(RefusedError)


def test_after_a_restart_a_recurring_job_waits_for_its_period() -> None:
    due = int(EPOCH_S * 1000) - 25_000
    stage = Stage(History(begun=7, ended=7, early=0, due=due), recurring_period=10)
    assert stage.told() == [(7, "2 periods of 10 s were missed", 0), "rest"]
    stage.clock.advance(5)
    assert stage.told() == ["resume", "begin 8", "run 8"]
