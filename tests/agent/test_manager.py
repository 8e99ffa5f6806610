"""Processes under watch: a launcher and an ender that only note what they are told, and a clock that the test moves."""

import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from deployer_agent.processes.ending import UNKILLABLE_S
from deployer_agent.processes.manager import Manager, Notes
from deployer_agent.processes.output import Output
from deployer_agent.processes.plan import Ended, Footprint, Plan

TERM, KILL, INT = int(signal.SIGTERM), int(signal.SIGKILL), int(signal.SIGINT)


class Fake:
    """One host: a process lives until `die`; those that it left live until they are signalled with `deadly`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.protocol: ProcessProtocol | None = None
        self.alive = False
        self.left = 0
        self.deadly: set[int] = {KILL}
        self.used = 0
        self.oom = False
        self.held: list[bool] = []
        self.delivered: list[int] = []
        self.signals: list[tuple[float, int]] = []
        self.notes: list[str] = []
        notes = Notes(lambda print_: self._note("begun", print_), lambda print_: self._note("over", print_))
        self.manager = Manager(self._launch, self, self.clock, self.clock.seconds, notes)
        self.output: Output = []
        self.ended: list[Any] = []

    @property
    def footprint(self) -> Footprint:
        return Footprint(pid=7, start=1, boot="b", marker="i:t:1")

    def run(self, **fields: Any) -> None:
        running = Deferred.fromCoroutine(self.manager.run(Plan(task="t", executable="x", **fields), self.output.extend))
        running.addBoth(self.ended.append)

    def _launch(self, plan: Plan, protocol: ProcessProtocol) -> Any:
        self.protocol, self.alive = protocol, True
        return self

    def _note(self, what: str, footprint: Footprint) -> None:
        self.notes.append(f"{what} {footprint.marker}")

    def hold(self, *, held: bool) -> None:
        self.held.append(held)

    def signalProcess(self, signalID: int) -> None:  # noqa: N802, N803 (Twisted's)
        self.delivered.append(signalID)

    def feed(self, data: bytes) -> None: ...

    def abandon(self) -> None: ...

    def say(self, data: bytes) -> None:
        assert self.protocol is not None
        self.protocol.childDataReceived(1, data)

    def die(self, number: int | None = None, status: int = 0) -> None:
        assert self.protocol is not None
        self.alive = False
        error = ProcessTerminated(status, number, number) if number or status else ProcessDone(0)
        self.protocol.processExited(Failure(error))
        self.protocol.processEnded(Failure(error))

    def signal(self, footprint: Footprint, number: int) -> int:
        count = len(self.members(footprint))
        self.signals.append((round(self.clock.seconds(), 3), number))
        if number in self.deadly:
            self.left = 0
            if self.alive:
                self.die(number)
        return count

    def members(self, footprint: Footprint) -> list[int]:
        return list(range(7, 7 + self.left + self.alive))

    def memory(self, footprint: Footprint) -> int:
        return self.used

    def over_memory(self, footprint: Footprint) -> bool:
        return self.oom

    def forget(self, footprint: Footprint) -> None:
        self._note("forget", footprint)

    @property
    def outcome(self) -> Ended:
        assert isinstance(self.ended[0], Ended)
        return self.ended[0]


def test_what_ends_by_itself_is_told_as_it_ended() -> None:
    fake = Fake()
    fake.run()
    fake.say(b"hi\n20::{}\n")
    fake.die(status=3)
    assert (fake.outcome.exit_status, fake.outcome.by, fake.outcome.level, fake.outcome.data) == (3, "", 20, "{}")
    assert fake.notes == ["begun i:t:1", "forget i:t:1", "over i:t:1"]
    assert fake.signals == []
    assert not fake.clock.getDelayedCalls()


def test_a_child_that_ignores_its_stop_signal_is_killed_after_its_grace() -> None:
    fake = Fake()
    fake.run(max_time=10, grace=5, stop_signal=INT)
    fake.clock.advance(10)
    assert fake.signals == [(10, INT)]
    fake.clock.pump([0.1] * 49)
    assert fake.ended == []
    fake.clock.pump([0.1] * 3)
    assert fake.signals[1][1] == KILL
    assert (fake.outcome.by, fake.outcome.signal) == ("MAX_TIME", "SIGKILL")


def test_what_it_left_behind_is_ended_before_it_counts_as_ended() -> None:
    fake = Fake()
    fake.run(grace=1)
    fake.left = 2
    fake.deadly = {TERM, KILL}
    fake.manager.end("t", "KILLED")
    assert fake.ended == []  # the leader and the others have gone, but we have not looked yet
    fake.clock.advance(0.1)
    assert fake.outcome.by == "KILLED"


def test_what_even_kill_does_not_end_is_not_waited_for_without_end() -> None:
    fake = Fake()
    fake.run(grace=0)
    fake.deadly = set()
    fake.left = 1
    fake.manager.end("t", "KILLED")
    fake.die(KILL)
    fake.clock.pump([0.1] * int(UNKILLABLE_S * 10 - 2))
    assert fake.ended == []
    fake.clock.pump([0.1] * 4)
    assert fake.outcome.by == "KILLED"


def test_only_a_task_that_runs_again_has_what_it_left_ended() -> None:
    for whole, signals in ((False, []), (True, [TERM, KILL])):
        fake = Fake()
        fake.run(whole=whole)
        fake.left, fake.deadly = 1, {TERM}
        fake.die()
        fake.clock.advance(1)
        assert [number for _, number in fake.signals] == signals
        assert fake.outcome.exit_status == 0


def test_silence_for_longer_than_the_watchdog_allows_is_a_failure() -> None:
    fake = Fake()
    fake.deadly = {TERM}
    fake.run(watchdog=10)
    fake.clock.advance(9)
    fake.say(b".")
    fake.clock.advance(9)
    assert fake.signals == []
    fake.clock.pump([1, 1])
    assert (fake.outcome.by, fake.outcome.why) == ("LIMIT", "it was silent for 10 s")


def test_who_is_not_listened_to_is_not_silent() -> None:
    fake = Fake()
    fake.run(watchdog=10)
    fake.manager.hold(held=True)
    fake.clock.advance(100)
    assert fake.signals == []
    fake.manager.hold(held=False)
    fake.clock.advance(10)
    assert [number for _, number in fake.signals] == [TERM]


def test_memory_is_looked_at_every_two_seconds() -> None:
    fake = Fake()
    fake.deadly = {TERM}
    fake.run(max_memory=100)
    fake.used = 100
    fake.clock.pump([2, 2])
    fake.used = 101
    fake.clock.pump([2, 1])
    assert fake.outcome.by == "LIMIT"
    assert "101 bytes" in (fake.outcome.why or "")


def test_a_kill_by_the_kernel_for_memory_is_told_as_such() -> None:
    fake = Fake()
    fake.run(max_memory=100)
    fake.oom = True
    fake.die(KILL)
    assert fake.outcome.by == "LIMIT"


def test_one_signal_on_demand_ends_nothing_by_itself() -> None:
    fake = Fake()
    fake.run()
    assert fake.manager.signal("t", 1)
    assert fake.delivered == [1]
    fake.die(1)
    assert (fake.outcome.by, fake.outcome.signal) == ("KILLED", "SIGHUP")
    assert "sent on demand" in (fake.outcome.why or "")
    assert not fake.manager.signal("t", 1)


def test_kill_after_a_term_waits_no_longer() -> None:
    fake = Fake()
    fake.run(grace=3600)
    fake.manager.end("t", "KILLED")
    fake.clock.advance(1)
    fake.manager.end("t", "KILLED", KILL)
    fake.clock.pump([0.1] * 3)
    assert fake.outcome.signal == "SIGKILL"


def test_a_process_gets_another_time_limit_while_it_runs() -> None:
    host = Fake()
    host.run(max_time=5)
    host.clock.advance(3)
    host.manager.limit("t", 10)
    host.clock.advance(6)
    assert host.signals == []
    host.clock.advance(1)
    assert host.signals == [(10.0, TERM)]


def test_a_time_limit_that_is_over_already_ends_a_process_at_once_and_none_never() -> None:
    host = Fake()
    host.run(max_time=5)
    host.manager.limit("t", 0)
    host.clock.advance(100)
    assert host.signals == []
    host.manager.limit("t", 20)
    host.clock.advance(0)
    assert host.signals == [(100.0, TERM)]


def test_a_process_has_the_time_limit_that_came_before_it_began() -> None:
    host = Fake()
    host.manager.limit("t", 2)
    host.run(max_time=100)
    host.clock.advance(2)
    assert host.signals == [(2.0, TERM)]
