"""What lies damaged in Redis ends as CORRUPT or is left out, and nothing beside it stops (RELIABILITY D3)."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from deployer.model.levelcounts import LevelCounts
from deployer.protocol.ids import AgentId
from deployer.protocol.messages import Group, Message
from deployer.protocol.results import Result
from deployer.protocol.wire import LogBatch
from deployer.stores import keys, scripts
from deployer.stores.activity import Activities
from deployer.stores.damage import CORRUPT_RESULT
from deployer.stores.jobs import TaskRecord
from deployer.stores.redis import Script
from deployer.telemetry.intake import Intake
from support.resp import Resp
from support.seeded import AGENT, COMPANY, NOW, Seeded, ok, wire

PREFIX = keys.prefix(COMPANY)
TASK = keys.task(COMPANY, "a", AGENT)
JOB = keys.job(COMPANY, "a")
QUEUE = f"{keys.agent(AGENT)}:queue"


@pytest.fixture
def alerts() -> Iterator[list[str]]:
    texts: list[str] = []

    def hear(event: LogEvent) -> None:
        text = formatEvent(event) or ""
        if "ALERT" in text:
            texts.append(text)

    globalLogPublisher.addObserver(hear)
    yield texts
    globalLogPublisher.removeObserver(hear)


async def _task(seeded: Seeded, job: str = "a") -> TaskRecord:
    return (await seeded.jobs.tasks(COMPANY, job, 0, 1))[0]


HARM: dict[str, list[tuple[object, ...]]] = {
    "no state": [("HDEL", TASK, "state")],
    "a state that is none": [("HSET", TASK, "state", "BANANA")],
    "no job": [("HDEL", TASK, "job")],
    "no command": [("HDEL", TASK, "wire")],
    "a command that is not JSON": [("HSET", TASK, "wire", "pickle")],
    "a command that is not UTF-8": [("HSET", TASK, "wire", b'{"payload":"\xff","signature":""}')],
    "a command that is another record": [("HSET", TASK, "wire", '{"payload":1,"signature":"","x":[]}')],
    "a huge command": [("HSET", TASK, "wire", b'{"payload":"' + b"x" * 9_000_000 + b'","signature":""}')],
    "deeply nested": [("HSET", TASK, "wire", "[" * 100_000)],
    "a string": [("DEL", TASK), ("SET", TASK, "damaged")],
    "a list": [("DEL", TASK), ("RPUSH", TASK, "damaged")],
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
async def test_a_damaged_task_ends_as_corrupt_and_the_queue_goes_on(
    seeded: Seeded, alerts: list[str], harm: list[tuple[object, ...]]
) -> None:
    await seeded.submit("a")
    await seeded.submit("b")
    for command in harm:
        await seeded.redis.call(*command)
    session = await seeded.session()
    assert await seeded.agents.claim(session, 10) == [wire("b")]
    assert await seeded.agents.claim(session, 10) == []
    task = await _task(seeded)
    assert task.state == "ERROR"
    assert task.result == CORRUPT_RESULT
    assert await seeded.counts("a") == {"ERROR": 1}
    assert (await seeded.jobs.job(COMPANY, "a")).finished is not None
    assert await seeded.redis.call("GET", f"{PREFIX}open") == b"1"
    assert seeded.redis.damage.ended == 1
    assert [text for text in alerts if "a@1:1" in text and "CORRUPT" in text]
    events = await seeded.redis.call("XRANGE", f"{PREFIX}events", "-", "+")
    assert [b"type", b"task.corrupt", b"subject", b"a@1:1", b"state", b"ERROR"] in [fields for _, fields in events]
    assert await seeded.jobs.expire(b"{}", NOW + 10**12) == 1  # b; nothing is left of a


async def test_a_damaged_task_that_was_sent_or_runs_ends_too(seeded: Seeded) -> None:
    await seeded.submit("a")
    await seeded.submit("b")
    first = await seeded.session()
    await seeded.agents.claim(first, 10)
    await seeded.redis.call("SET", TASK, "damaged")
    assert await seeded.agents.accept(first, ["a", "b"]) == ["CANCELLED", "START"]
    assert (await _task(seeded)).result == CORRUPT_RESULT
    await seeded.redis.call("HDEL", keys.task(COMPANY, "b", AGENT), "job")
    assert await seeded.agents.finish(first, [ok("a"), ok("b")]) == ["CONFLICT", "CONFLICT"]
    assert await seeded.counts("b") == {"ERROR": 1}
    assert await seeded.redis.call("GET", f"{PREFIX}open") == b"0"


async def test_one_damaged_task_does_not_hold_up_the_results_beside_it(seeded: Seeded) -> None:
    for job in ("a", "b"):
        await seeded.submit(job)
    session = await seeded.session()
    await seeded.agents.claim(session, 10)
    await seeded.agents.accept(session, ["a", "b"])
    await seeded.redis.call("SET", TASK, "damaged")
    await seeded.redis.call("SET", f"{keys.task(COMPANY, 'b', AGENT)}:runs", "damaged")
    assert await seeded.agents.record_runs(session, [ok("a"), ok("b")]) == ["UNKNOWN", "OK"]
    assert await seeded.agents.finish(session, [ok("a"), ok("b")]) == ["CONFLICT", "OK"]
    assert await seeded.agents.finish(session, [ok("b")]) == ["DUP"]


async def test_a_lease_of_a_damaged_task_does_not_hold_up_the_others(seeded: Seeded) -> None:
    for job in ("a", "b"):
        await seeded.submit(job)
    await seeded.agents.claim(await seeded.session(), 10)
    await seeded.redis.call("HDEL", TASK, "state")
    await seeded.redis.call("HSET", keys.task(COMPANY, "b", AGENT), "list", "nowhere")
    assert await seeded.agents.claim(await seeded.session(), 10) == [wire("b")]
    assert (await _task(seeded)).result == CORRUPT_RESULT


async def test_damaged_tasks_are_cancelled_and_expire(seeded: Seeded) -> None:
    for job in ("a", "b", "c"):
        await seeded.submit(job, not_after=NOW)
    await seeded.redis.call("SET", TASK, "damaged")
    assert await seeded.jobs.cancel(COMPANY, b"{}", [("a", AGENT, "a:kill", b"k")]) == ["FINAL"]
    assert (await _task(seeded)).result == CORRUPT_RESULT
    await seeded.redis.call("SET", keys.task(COMPANY, "b", AGENT), "damaged")
    await seeded.redis.call("ZADD", keys.DEADLINES, 0, "no bar", 0, b"\xff|\xfe")
    assert await seeded.jobs.expire(b'{"id":"x","state":"ERROR","code":"EXPIRED"}', NOW) == 4
    assert (await _task(seeded, "b")).result == CORRUPT_RESULT
    last = await _task(seeded, "c")
    assert last.result is not None
    assert last.result.code == "EXPIRED"
    assert await seeded.jobs.expire(b"{}", NOW) == 0


async def test_another_agents_task_in_a_queue_is_not_given_out_and_not_harmed(seeded: Seeded) -> None:
    other = await seeded.join("other-key", 2)
    await seeded.submit("theirs", other)
    await seeded.redis.call("RPUSH", QUEUE, "theirs")
    assert await seeded.agents.claim(await seeded.session(), 10) == []
    assert await seeded.agents.claim(await seeded.session(other), 10) == [wire("theirs")]


@pytest.mark.parametrize("key", [QUEUE, f"{keys.agent(AGENT)}:control", f"{keys.agent(AGENT)}:inflight"])
async def test_a_queue_that_is_none_any_more_begins_anew(seeded: Seeded, key: str) -> None:
    await seeded.redis.call("SET", key, "damaged")
    assert await seeded.submit("a") == "OK"
    session = await seeded.session()
    assert await seeded.agents.claim(session, 10) == [wire("a")]
    await seeded.redis.call("SET", key, "damaged")
    assert await seeded.agents.accept(session, ["a"]) == ["START"]
    assert await seeded.jobs.cancel(COMPANY, b"{}", [("a", AGENT, "a:kill", wire("k"))]) == ["KILLING"]
    assert await seeded.agents.claim(session, 10) == [wire("k")]


COUNTS: dict[str, list[tuple[object, ...]]] = {
    "an open count that is no number": [("HSET", JOB, "open", "many")],
    "no open count": [("HDEL", JOB, "open")],
    "a count that is no number": [("HSET", JOB, "n:QUEUED", "some")],
    "a company's count that is no number": [("SET", f"{PREFIX}open", "all")],
    "a company's count that is a list": [("DEL", f"{PREFIX}open"), ("RPUSH", f"{PREFIX}open", "all")],
}


@pytest.mark.parametrize("harm", COUNTS.values(), ids=COUNTS)
async def test_damaged_counts_do_not_keep_a_job_from_its_end(seeded: Seeded, harm: list[tuple[object, ...]]) -> None:
    await seeded.submit("a")
    for command in harm:
        await seeded.redis.call(*command)
    session = await seeded.session()
    await seeded.agents.claim(session, 10)
    await seeded.agents.accept(session, ["a"])
    assert await seeded.agents.finish(session, [ok("a")]) == ["OK"]
    assert (await seeded.jobs.job(COMPANY, "a")).finished is not None
    assert await seeded.counts("a") == {"OK": 1}
    assert await seeded.submit("b") == "OK"


@pytest.mark.parametrize("kind", ["string", "half"])
async def test_a_damaged_job_does_not_hold_up_its_tasks_nor_is_it_made_anew(seeded: Seeded, kind: str) -> None:
    await seeded.submit("a")
    await seeded.redis.call("DEL", JOB)
    await seeded.redis.call(*(("SET", JOB, "x") if kind == "string" else ("HSET", JOB, "created", "1")))
    assert await seeded.submit("a") == "CONFLICT"
    session = await seeded.session()
    assert await seeded.agents.claim(session, 10) == [wire("a")]
    assert await seeded.agents.accept(session, ["a"]) == ["START"]
    assert await seeded.agents.finish(session, [ok("a")]) == ["OK"]
    record = await seeded.jobs.job(COMPANY, "a")
    assert record.damaged
    await seeded.redis.call("ZADD", f"{PREFIX}finished", 1, "a")
    assert await seeded.jobs.retire(COMPANY) == 1
    assert not await seeded.redis.call("EXISTS", JOB, TASK)


async def test_somebody_elses_key_where_a_result_should_go_keeps_no_result_back(seeded: Seeded) -> None:
    await seeded.submit("a")
    await seeded.redis.call("HSET", TASK, "reply", "cmds_queue_a", "head", '"id":"a"')
    await seeded.redis.call("SET", "cmds_queue_a", "mine")
    session = await seeded.session()
    await seeded.agents.claim(session, 10)
    await seeded.agents.accept(session, ["a"])
    assert await seeded.agents.finish(session, [ok("a")]) == ["OK"]
    assert await seeded.counts("a") == {"OK": 1}


async def test_messages_whose_stream_is_somebody_elses_key_are_lost_counted_and_block_nothing(
    seeded: Seeded, alerts: list[str]
) -> None:
    await seeded.redis.call("SET", "log.taken.x", "mine")
    intake = Intake(seeded.agents, Activities(seeded.redis), COMPANY, Clock(), LevelCounts().add_of_agent)
    session = await seeded.session()
    groups = [
        Group(task="", domain=domain, name="x", messages=[Message(1, n, 1, "text")])
        for n, domain in enumerate(["taken", "free"], start=1)
    ]
    assert await intake.store(session, LogBatch(boot="0" * 32, seq=1, groups=groups)) == 1
    assert (intake.lost, len(alerts)) == (1, 1)
    assert await seeded.redis.call("XLEN", "log.free.x") == 1
    assert await seeded.redis.call("GET", "log.taken.x") == b"mine"


async def test_a_damaged_agent_is_left_out_of_the_list_and_unknown(seeded: Seeded) -> None:
    await seeded.join("other-key", 2)
    for field, value in (("last_seen", "soon"), ("extensions", "{"), ("hostname", b"\xff")):
        await seeded.redis.call("HSET", keys.agent(AGENT), field, value)
        found = await seeded.agents.agents(COMPANY, None, 10)
        assert [record.id for record in found] == [AgentId(1, 2)]
        await seeded.redis.call("HDEL", keys.agent(AGENT), field)
    assert seeded.redis.damage.met == 3


async def test_a_damaged_epoch_lets_no_session_in(seeded: Seeded) -> None:
    session = await seeded.session()
    await seeded.redis.call("HSET", keys.agent(AGENT), "epoch", "x")
    for attempt in (seeded.agents.claim(session, 1), seeded.session()):
        with pytest.raises(Exception, match=r"newer session|not known"):
            await attempt


def test_what_lua_says_of_a_damaged_task_is_a_result() -> None:
    text = scripts.CLAIM.text.partition(b"local CORRUPT = '")[2].partition(b"'")[0]
    assert msgspec.json.decode(text, type=Result) == CORRUPT_RESULT


_values = st.sampled_from(
    [b"", b"-1", b"x", b"\xff\x00", b"9" * 30, b"{}", b"[" * 5000, b"QUEUED", b"RUNNING", b"OK", b"queue"]
)
_fields = st.sampled_from(
    [
        "state",
        "job",
        "wire",
        "by",
        "result",
        "sent",
        "accepted",
        "finished",
        "list",
        "reply",
        "head",
        "runs",
        "log_dropped",
        "log_bytes",
        "kill_wanted",
        "doc",
        "sha",
        "created",
        "n:QUEUED",
        "n:SENT",
        "n:RUNNING",
        "n:OK",
        "open",
        "log_stream",
        "log_first",
        "log_last",
    ]
)


@settings(max_examples=60)
@given(harm=st.lists(st.tuples(st.booleans(), _fields, _values), min_size=1, max_size=4), moment=st.integers(0, 3))
def test_no_value_of_any_field_makes_a_script_fail(
    redis_socket: Path, harm: list[tuple[bool, str, bytes]], moment: int
) -> None:
    with Resp(redis_socket) as redis:
        _live_through(redis, harm, moment)


def _live_through(redis: Resp, harm: list[tuple[bool, str, bytes]], moment: int) -> None:
    """A task's whole life with the harm done at one of its moments. `ask` raises what a script raises."""
    redis.ask("FLUSHALL")
    agent = keys.agent(AGENT)
    redis.ask("HSET", agent, "prefix", PREFIX, "company", COMPANY)

    def run(script: Script, named: list[str], *given: object) -> object:
        return redis.ask("EVAL", script.text, len(named), *named, *given)

    steps = [
        lambda: run(
            scripts.SUBMIT,
            [PREFIX],
            "a",
            "s",
            "{}",
            NOW,
            NOW,
            9,
            9,
            "queue",
            "eve",
            1,
            0,
            "",
            "a",
            AGENT,
            wire("a"),
            "",
            "",
        ),
        lambda: run(scripts.CLAIM, [agent, PREFIX], AGENT, 1, 9, 9999, 0, 10**6, 10**6),
        lambda: run(scripts.ACCEPT, [agent, PREFIX], AGENT, 1, "i", 0, "a"),
        lambda: run(scripts.LOG, [agent, PREFIX], AGENT, 1, "i", 0, "b", 1, 99, "a", "log.x", 1, 1, "[]"),
        lambda: run(scripts.RUN, [agent, PREFIX], AGENT, 1, "i", 0, 100, "a", 1, "{}"),
        lambda: run(scripts.CANCEL, [PREFIX], "{}", "a", AGENT, "a:kill", "kill"),
        lambda: run(scripts.EXPIRE, [keys.DEADLINES], "{}", NOW),
        lambda: run(scripts.RESULT, [agent, PREFIX], AGENT, 1, "i", 0, "a", "OK", '{"id":"a","state":"OK"}'),
        lambda: run(scripts.RETIRE, [PREFIX], -1000, 0),
    ]
    run(scripts.SESSION, [agent, "s"], AGENT, "i", "d", 9, 9, "", "", "[]")
    for number, step in enumerate(steps):
        if number == moment + 1:
            for of_task, field, value in harm:
                redis.ask("HSET", TASK if of_task else JOB, field, value)
        step()
