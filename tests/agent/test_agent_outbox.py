"""What waits for the master: order, frozen batches, bounds, numbers."""

import msgspec
import pytest
from twisted.internet.task import Clock

from deployer.protocol.wire import MAX_POST_BYTES, LogBatch, ResultAnswer, ResultBatch
from deployer_agent.commands.acceptance import Acceptance
from deployer_agent.commands.outcome import of_process
from deployer_agent.outbox.messages import BATCH_BYTES, FLUSH_S, Batch, MessageOutbox, Source
from deployer_agent.outbox.numbers import BLOCK, Numbers
from deployer_agent.outbox.results import ResultOutbox
from deployer_agent.processes.plan import Ended

TASK = Source("t", "d", "n")


class Box:
    """A message outbox and what it said."""

    def __init__(self, hold_bytes: int = 10**9) -> None:
        self.clock = Clock()
        self.holds: list[bool] = []
        self.nudges = 0
        self.box = MessageOutbox(
            self.clock, self.clock.seconds, Numbers(0, lambda _: None), hold_bytes, self.holds.append
        )
        self.box.ready = self._nudge

    def _nudge(self) -> None:
        self.nudges += 1


def texts(batch: Batch | None) -> list[str]:
    assert batch is not None
    decoded = msgspec.json.decode(batch.body, type=LogBatch)
    return [message.data for group in decoded.groups for message in group.messages]


def test_a_little_waits_a_moment_and_goes_out_together() -> None:
    made = Box()
    made.box.add(TASK, [(1, "a")])
    made.box.add(TASK, [(2, "b")])
    assert made.box.take() is None
    made.clock.advance(FLUSH_S)
    assert made.nudges == 1
    assert texts(made.box.take()) == ["a", "b"]


def test_a_batch_stays_as_it_is_until_it_is_acknowledged() -> None:
    made = Box()
    made.box.add(TASK, [(1, "a")])
    made.box.flush()
    first = made.box.take()
    made.box.add(TASK, [(1, "b")])
    made.box.flush()
    assert made.box.take() is first
    made.box.acknowledge(0)
    assert made.box.take() is first
    made.box.acknowledge(1)
    second = made.box.take()
    assert texts(second) == ["b"]
    assert second is not None
    assert second.seq == 2


def test_a_task_is_settled_when_the_last_of_its_messages_is_acknowledged() -> None:
    made, done = Box(), []
    made.box.settle("other", lambda: done.append("other"))
    made.box.add(TASK, [(1, "a")])
    made.box.settle("t", lambda: done.append("t"))
    assert done == ["other"]
    assert made.box.take() is not None
    made.box.acknowledge(1)
    assert done == ["other", "t"]


def test_reading_is_held_over_the_bound_and_goes_on_below_half_of_it() -> None:
    made = Box(hold_bytes=2 * BATCH_BYTES)
    while not made.holds:
        made.box.add(TASK, [(1, "x" * 10_000)])
    made.box.flush()
    sequence = 0
    while made.holds == [True]:
        assert made.box.take() is not None
        sequence += 1
        made.box.acknowledge(sequence)
    assert made.holds == [True, False]
    assert 0 < made.box.size <= BATCH_BYTES


@pytest.mark.parametrize("text", ["\x01" * 1024 * 1024, "x" * 1024 * 1024, "\U0001f600" * 262_144])
def test_no_post_is_longer_than_the_master_takes(text: str) -> None:
    made, sent = Box(), ""
    made.box.add(TASK, [(1, text)] * 3)
    made.box.flush()
    while (batch := made.box.take()) is not None:
        assert len(batch.body) <= MAX_POST_BYTES
        sent += "".join(texts(batch))
        made.box.acknowledge(batch.seq)
    assert sent == text * 3


def test_numbers_go_on_after_a_crash_without_one_used_twice() -> None:
    reserved: list[int] = []
    numbers = Numbers(5, reserved.append)
    used = [numbers.next() for _ in range(BLOCK)]
    assert used == list(range(5, BLOCK + 5))
    assert reserved[-1] > used[-1]
    assert Numbers(2**32 - 1, reserved.append).next() == 2**32 - 1
    wrapping = Numbers(2**32, reserved.append)
    assert wrapping.next() == 0


def test_results_are_posted_by_the_hundred_and_given_back_in_order() -> None:
    forgotten: list[object] = []
    box = ResultOutbox(forgotten.extend, forgotten.extend)
    for number in range(150):
        box.add((f"t{number}", 1), b'{"id":"t%d","state":"OK"}' % number)
        box.add((f"t{number}", 1), b"the same again")
    first = box.take()
    assert first is not None
    assert [result.id for result in msgspec.json.decode(first.body, type=ResultBatch).results][:2] == ["t0", "t1"]
    box.give_back(first)
    again = box.take()
    assert again is not None
    assert again.results == first.results
    box.acknowledge(again, ResultAnswer(["OK"] * 99 + ["CONFLICT"]))
    assert len(forgotten) == 100
    assert len(box) == 50


def test_records_of_runs_go_along_and_only_the_last_hundred_of_a_task_are_kept() -> None:
    results: list[object] = []
    runs: list[object] = []
    box = ResultOutbox(results.extend, runs.extend)
    box.add(("t", 1), b'{"id":"t","state":"OK"}')
    for number in range(1, 131):
        box.add_run(("r", number), b'{"id":"r","run":%d,"state":"OK"}' % number)
    assert len(box) == 101
    post = box.take()
    assert post is not None
    sent = msgspec.json.decode(post.body, type=ResultBatch)
    assert [result.id for result in sent.results] == ["t"]
    assert [run.run for run in sent.runs] == list(range(31, 131))
    box.give_back(post)
    post = box.take()
    assert post is not None
    box.acknowledge(post, ResultAnswer(["OK"], ["OK"] * 99 + ["DUP"]))
    assert (len(box), results, len(runs)) == (0, [("t", 1)], 100)
    assert box.take() is None


async def test_questions_share_a_post_and_each_gets_its_own_answers() -> None:
    from twisted.internet.defer import Deferred  # noqa: PLC0415 (only here)

    box = Acceptance()
    asked = [Deferred.fromCoroutine(box.ask(ids)) for ids in (["a", "b"], ["c"], [str(n) for n in range(150)])]
    post = box.take()
    assert post is not None
    box.give_back(post)
    for answer in (["START", "DONE", "UNKNOWN"], ["START"] * 100, ["START"] * 50):
        post = box.take()
        assert post is not None
        box.answer(post, answer)  # type: ignore[arg-type]  # verdicts
    assert await asked[0] == ["START", "DONE"]
    assert await asked[1] == ["UNKNOWN"]
    assert len(await asked[2]) == 150


def test_a_result_that_is_too_long_is_cut_and_says_so() -> None:
    ended = Ended(exit_status=0, signal=None, by="", level=20, data="\x01" * 10**6, starttime=1, time=1)
    result = of_process("t", 1, ended)
    assert len(msgspec.json.encode(result)) < 1024 * 1024 + 1000
    assert "cut" in (result.reason or "")
