"""What waits for the master in memory: numbers, results, questions."""

import msgspec

from deployer.protocol.wire import ResultAnswer, ResultBatch
from deployer_agent.commands.acceptance import Acceptance
from deployer_agent.commands.outcome import of_process
from deployer_agent.outbox.numbers import BLOCK, Numbers
from deployer_agent.outbox.results import ResultOutbox
from deployer_agent.processes.plan import Ended


def test_numbers_go_on_after_a_crash_without_one_used_twice() -> None:
    reserved: list[int] = []
    numbers = Numbers(5, reserved.append)
    used = [numbers.next() for _ in range(BLOCK)]
    assert used == list(range(5, BLOCK + 5))
    assert reserved[-1] > used[-1]
    assert Numbers(2**32, reserved.append).take(3) == 2**32
    numbers = Numbers(0, reserved.append)
    assert numbers.take(5 * BLOCK) == 0
    assert reserved[-1] >= 5 * BLOCK


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


def test_what_the_master_does_not_take_is_found_and_holds_up_no_other() -> None:
    taken: list[str] = []
    forgotten: list[object] = []
    box = ResultOutbox(forgotten.extend, forgotten.extend)
    for number in range(20):
        box.add((f"t{number}", 1), b'{"id":"t%d","state":"OK"}' % number)
        box.add_run((f"r{number}", 5), b'{"id":"r%d","run":5,"state":"OK"}' % number)
    while (post := box.take()) is not None:
        sent = msgspec.json.decode(post.body, type=ResultBatch)
        ids = [one.id for one in (*sent.results, *sent.runs)]
        bad = {"t7", "r3"} if not any(one.code for one in sent.results) else set()
        if bad & set(ids):
            box.refuse(post, "422 invalid: of a wrong form")
        else:
            taken += [f"{one.id} {one.code or one.state}" for one in (*sent.results, *sent.runs)]
            box.acknowledge(post, ResultAnswer(["OK"] * len(post.results), ["OK"] * len(post.runs)))
    good = {f"{kind}{number} OK" for kind in "tr" for number in range(20)} - {"t7 OK", "r3 OK"}
    assert sorted(taken) == sorted(good | {"t7 RESULT_REFUSED"})
    assert (len(box), len(forgotten), box.aside) == (0, 40, 0)


def test_a_result_that_is_refused_whatever_it_says_is_put_aside() -> None:
    forgotten: list[object] = []
    box = ResultOutbox(forgotten.extend, forgotten.extend)
    box.add(("t", 1), b'{"id":"t","state":"OK"}')
    for _ in range(2):
        post = box.take()
        assert post is not None
        box.refuse(post, "422")
    assert box.take() is None
    assert (forgotten, box.aside) == ([], 1)


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
