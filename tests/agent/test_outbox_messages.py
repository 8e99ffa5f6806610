"""Messages on their way: in order, kept on the disk while the master is away, each delivered once or told as lost."""

import contextlib
import sqlite3
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.task import Clock

from deployer.protocol.messages import Message
from deployer.protocol.wire import MAX_POST_BYTES, LogBatch
from deployer_agent.outbox.batch import Batch, Source
from deployer_agent.outbox.messages import BATCH_BYTES, FLUSH_S, SPILL_S, Bounds, MessageOutbox, Tell
from deployer_agent.outbox.spool import Spool
from support.wait import until

TASK = Source("t", "d", "n")
PLENTY = Bounds(10**9, 10**9)


class Agent:
    """One life of an agent: an outbox over a file, whose thread's calls wait until they are made."""

    def __init__(self, folder: Path, bounds: Bounds = PLENTY) -> None:
        self.clock = Clock()
        self.holds: list[bool] = []
        self.reports: list[tuple[Source, str]] = []
        self.nudges = 0
        self.roomy = True
        self._calls: deque[Any] = deque()
        self.spool = Spool.open(folder / "outbox.db", lambda: 7, lambda *call: self._calls.append(call))
        tell = Tell(self.holds.append, lambda source, text: self.reports.append((source, text)))
        self.box = MessageOutbox(self.clock, self.spool, bounds, tell, lambda: self.roomy)
        self.box.ready = self._nudge

    def _nudge(self) -> None:
        self.nudges += 1

    def turn(self) -> None:
        """Let the disk do what it was asked for."""
        done: list[object] = []
        self.spool._writer.run(lambda _: None).addCallback(done.append)
        until(lambda: self._make_calls() or done, what="the disk")

    def _make_calls(self) -> None:
        while self._calls:
            call, *arguments = self._calls.popleft()
            call(*arguments)

    def take(self) -> Batch | None:
        """What is to be posted, read from the disk if it must be."""
        batch = self.box.take()
        if batch is None:
            self.turn()
            batch = self.box.take()
        return batch


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path)
    yield agent
    agent.spool.close()


def said(*texts: str, first: int = 0) -> list[Message]:
    return [Message(1, number, number * 1000, text) for number, text in enumerate(texts, first)]


def texts(batch: Batch | None) -> list[str]:
    assert batch is not None
    decoded = msgspec.json.decode(batch.body or b"", type=LogBatch)
    return [message.data for group in decoded.groups for message in group.messages]


def test_a_little_waits_a_moment_and_goes_out_together(made: Agent) -> None:
    made.box.add(TASK, said("a"))
    made.box.add(TASK, said("b"))
    assert made.box.take() is None
    made.clock.advance(FLUSH_S)
    assert made.nudges == 1
    assert texts(made.box.take()) == ["a", "b"]


def test_a_batch_stays_as_it_is_until_it_is_acknowledged(made: Agent) -> None:
    made.box.add(TASK, said("a"))
    made.box.flush()
    first = made.box.take()
    assert first is not None
    made.box.add(TASK, said("b"))
    made.box.flush()
    assert made.box.take() is first
    made.box.acknowledge(first)
    made.box.acknowledge(first)
    second = made.box.take()
    assert texts(second) == ["b"]
    assert second is not None
    assert second.seq == 2


def test_what_the_master_does_not_take_is_told_as_lost_and_holds_up_no_other(made: Agent) -> None:
    done: list[str] = []
    made.box.add(TASK, said("a"))
    made.box.flush()
    first = made.box.take()
    assert first is not None
    made.box.add(TASK, said("b"))
    made.box.settle("t", lambda: done.append("t"))
    made.box.refuse(first, "422 invalid")
    made.box.refuse(first, "422 invalid")
    second = made.box.take()
    assert second is not None
    assert texts(second) == ["b"]
    made.box.acknowledge(second)
    assert [source for source, _ in made.reports] == [TASK]
    assert done == ["t"]


def test_a_task_is_settled_when_the_last_of_its_messages_is_acknowledged(made: Agent) -> None:
    done: list[str] = []
    made.box.settle("other", lambda: done.append("other"))
    made.box.add(TASK, said("a"))
    made.box.settle("t", lambda: done.append("t"))
    assert done == ["other"]
    batch = made.box.take()
    assert batch is not None
    made.box.acknowledge(batch)
    assert done == ["other", "t"]


def test_while_the_master_answers_nothing_goes_to_the_disk(made: Agent) -> None:
    for _ in range(20):
        made.box.add(TASK, said("x" * 1000))
        made.clock.advance(FLUSH_S)
        batch = made.box.take()
        assert batch is not None
        made.clock.advance(SPILL_S / 2)
        made.box.acknowledge(batch)
    made.turn()
    assert made.spool._writer.commits == 1  # our own


def test_what_prints_faster_than_a_master_that_answers_is_held(tmp_path: Path) -> None:
    made = Agent(tmp_path, Bounds(2 * BATCH_BYTES, 10**9))
    while not made.holds:
        made.box.add(TASK, said("x" * 10_000))
    made.box.flush()
    while made.holds == [True]:
        batch = made.box.take()
        assert batch is not None
        made.box.acknowledge(batch)
    assert made.holds == [True, False]
    assert 0 < made.box.size <= BATCH_BYTES
    made.spool.close()


def test_while_the_master_is_away_all_but_the_first_is_on_the_disk_and_nobody_is_held(tmp_path: Path) -> None:
    made = Agent(tmp_path, Bounds(2 * BATCH_BYTES, 10**9))
    made.box.add(TASK, said("first"))
    made.box.flush()
    assert made.box.take() is not None
    for number in range(100):
        made.box.add(TASK, said("x" * 50_000, first=number))
        made.clock.advance(SPILL_S)
        made.turn()
    assert True not in made.holds
    assert made.box.size > 5_000_000
    assert made.box.memory < BATCH_BYTES
    received: list[str] = []
    while (batch := made.take()) is not None:
        received += texts(batch)
        made.box.acknowledge(batch)
    assert [len(text) for text in received] == [5] + [50_000] * 100
    made.turn()
    made.spool.close()
    assert Agent(tmp_path).box.size == 0


def test_after_a_restart_the_same_batches_go_out_first(tmp_path: Path) -> None:
    made = Agent(tmp_path)
    made.box.add(TASK, said("a"))
    made.box.flush()
    first = made.box.take()
    assert first is not None
    made.box.add(TASK, said("b"))
    made.clock.advance(SPILL_S)
    made.turn()
    made.spool.close()  # and nothing else: as after a kill
    again = Agent(tmp_path)
    done: list[str] = []
    again.box.settle("t", lambda: done.append("t"))
    again.box.add(Source("u", "", ""), said("c"))
    again.box.flush()
    batches = []
    while (batch := again.take()) is not None:
        batches.append(batch)
        again.box.acknowledge(batch)
    assert [text for batch in batches for text in texts(batch)] == ["a", "b", "c"]
    assert [(batch.boot, batch.seq) for batch in batches[:2]] == [(first.boot, 1), (first.boot, 2)]
    assert (batches[2].boot != first.boot, batches[2].seq) == (True, 1)
    assert done == ["t"]
    again.spool.close()


def test_what_is_too_much_for_the_disk_is_dropped_from_the_oldest_and_told(tmp_path: Path) -> None:
    made = Agent(tmp_path, Bounds(10**9, 200_000))
    made.box.add(TASK, said("first"))
    made.box.flush()
    first = made.box.take()
    assert first is not None
    done: list[str] = []
    for number in range(1, 9):
        made.box.add(TASK, said("x" * 50_000, first=number))
        made.clock.advance(SPILL_S * 2**number)
        made.turn()
    assert made.box.dropped == 5
    assert made.reports == []
    made.box.settle("t", lambda: done.append("t"))
    sentence = (
        "5 messages dropped between 1970-01-01T00:00:01Z and 1970-01-01T00:00:05Z: the master was away for too long,"
        " or did not take them"
    )
    assert made.reports == [(TASK, sentence)]
    count = 0
    while (batch := made.take()) is not None:
        count += len(texts(batch))
        made.box.acknowledge(batch)
    assert (count, done) == (4, ["t"])
    made.spool.close()


def test_without_room_on_the_disk_the_oldest_in_memory_are_dropped(tmp_path: Path) -> None:
    made = Agent(tmp_path, Bounds(200_000, 10**9))
    made.roomy = False
    made.box.add(TASK, said("first"))
    made.box.flush()
    assert made.box.take() is not None
    for number in range(30):
        made.box.add(TASK, said("x" * 50_000, first=number))
        made.clock.advance(SPILL_S * 8)
    assert made.box.memory <= 200_000 + BATCH_BYTES
    assert made.box.dropped > 20
    assert made.holds in ([], [True, False])
    made.spool.close()


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    made = Agent(tmp_path)
    assert made.box.size == 0
    assert (tmp_path / "outbox.db.bad.7").exists()
    made.spool.close()


@pytest.mark.parametrize("text", ["\x01" * 1024 * 1024, "x" * 1024 * 1024, "\U0001f600" * 262_144])
def test_no_post_is_longer_than_the_master_takes(made: Agent, text: str) -> None:
    sent = ""
    made.box.add(TASK, said(text, text, text))
    made.box.flush()
    while (batch := made.take()) is not None:
        assert len(batch.body or b"") <= MAX_POST_BYTES
        sent += "".join(texts(batch))
        made.box.acknowledge(batch)
    assert sent == text * 3


class Story(RuleBasedStateMachine):
    """Anything may happen to agent, master and link; the master knows one boot and its highest number (log.lua)."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.agent = Agent(self.folder, Bounds(10**9, 30_000))
        self.added = 0
        self.killed = False
        self.stored: list[int] = []
        self.known = ("", 0)
        self.dropped = 0

    def _post(self) -> Batch | None:
        """The master stores a batch, unless it has it."""
        batch = self.agent.take()
        if batch is not None and not (self.known[0] == batch.boot and batch.seq <= self.known[1]):
            self.known = (batch.boot, batch.seq)
            self.stored += [int(text.partition(" ")[0]) for text in texts(batch)]
        return batch

    @rule(count=st.integers(1, 5), size=st.sampled_from([1, 3000]))
    def say(self, count: int, size: int) -> None:
        numbers = range(self.added, self.added + count)
        self.agent.box.add(TASK, [Message(1, n, n, f"{n} " + "x" * size) for n in numbers])
        self.added += count

    @rule()
    def flush(self) -> None:
        self.agent.box.flush()

    @rule()
    def deliver(self) -> None:
        batch = self._post()
        if batch is not None:
            self.agent.box.acknowledge(batch)

    @rule()
    def lose_the_answer(self) -> None:
        self._post()

    @rule(rounds=st.integers(1, 3))
    def wait(self, rounds: int) -> None:
        for _ in range(rounds):
            self.agent.clock.advance(5)
            self.agent.turn()

    @rule()
    def stop_in_order(self) -> None:
        self.agent.box.keep()
        self.agent.turn()
        self._restart()

    @rule()
    def kill(self) -> None:
        self.killed = True
        self._restart()

    def _restart(self) -> None:
        self.dropped += self.agent.box.dropped
        self.agent.spool.close()
        self.agent = Agent(self.folder, Bounds(10**9, 30_000))

    @invariant()
    def each_is_stored_once_and_in_order(self) -> None:
        assert self.stored == sorted(set(self.stored))

    def teardown(self) -> None:
        self.agent.box.flush()
        while (batch := self._post()) is not None:
            self.agent.box.acknowledge(batch)
        self.each_is_stored_once_and_in_order()
        assert self.agent.box.size == 0
        assert self.killed or len(self.stored) + self.dropped + self.agent.box.dropped == self.added
        self.agent.spool.close()
        self.stack.close()


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=25, stateful_step_count=30)


def test_all_is_kept_at_the_end_only_where_the_disk_takes_it(tmp_path: Path) -> None:
    made = Agent(tmp_path)
    assert made.box.kept
    made.box.add(TASK, said("a"))
    assert not made.box.kept
    made.roomy = False
    made.box.keep()
    assert not made.box.kept
    made.roomy = True
    made.box.keep()
    made.spool.close()
    assert made.box.kept


def test_what_the_disk_did_not_take_at_the_end_is_not_kept(tmp_path: Path) -> None:
    made = Agent(tmp_path)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database:
        database.execute("DROP TABLE batch")
    made.box.add(TASK, said("a"))
    made.box.keep()
    made.turn()
    made.spool.close()
    assert not made.box.kept
