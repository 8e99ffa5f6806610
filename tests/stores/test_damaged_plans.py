"""Damaged plans in Redis: no script fails, no round ends, other jobs go on (RELIABILITY D3)."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.protocol.ids import AgentId
from deployer.stores import keys, scripts
from deployer.stores.redis import Script
from support.planned import submit, tasks, until
from support.resp import Resp
from support.seeded import COMPANY
from support.served import Served, WireAgent

AGENT = AgentId(1, 1)
PREFIX = keys.prefix(COMPANY)
JOB, TASK = keys.job(COMPANY, "a"), f"{PREFIX}task:a@1:1"
ENTRY = '{"agent":"1:1"}'
OK = '{"id":"a","state":"OK"}'
NOW = 1_700_000_000_000

_fields = st.sampled_from(
    [
        (JOB, name)
        for name in ("plan", "sha", "doc", "open", "n:BLOCKED", "n:QUEUED", "n:ERROR", "changes", "change", "finished")
    ]
    + [(JOB, name) for name in ("rest", "rest_state", "rest_at", "dep:b", "begun", "added", "priority")]
    + [(TASK, name) for name in ("state", "job", "rank", "ram", "load", "item", "list", "wire", "sent")]
    + [(keys.agent(AGENT), name) for name in ("held_ram", "held_load", "ranks")]
)
_values = st.sampled_from([b"", b"-1", b"1e400", b"nan", b"\xff\xfe", b"{}", b"9" * 400, b"OK", b"QUEUED", b"0"])
_keys = st.sampled_from(
    [
        f"{JOB}:plan",
        f"{JOB}:more",
        f"{JOB}:next",
        f"{JOB}:waiting",
        keys.ENDED,
        f"{JOB}:tasks",
        JOB,
        TASK,
        keys.PLANS,
        f"{PREFIX}hungry",
    ]
    + [f"{keys.agent(AGENT)}{name}" for name in (":queue", ":ranked", ":inflight", ":running", ":control")]
)
_kinds = st.sampled_from([("SET", "x"), ("RPUSH", "x"), ("SADD", "x"), ("ZADD", "1", "x"), ("HSET", "x", "y")])
_harm = st.one_of(
    st.tuples(st.just("field"), _fields, _values),
    st.tuples(st.just("key"), _keys, _kinds),
    st.tuples(st.just("gone"), _keys, st.none()),
)


@settings(max_examples=150)
@given(harm=st.lists(_harm, min_size=1, max_size=3), moment=st.integers(0, 12))
def test_whatever_is_damaged_no_script_fails(redis_socket: Path, harm: list[Any], moment: int) -> None:
    with Resp(redis_socket) as redis:
        _live_through(redis, harm, moment)


def _live_through(redis: Resp, harm: list[Any], moment: int) -> None:
    """A planned job's whole life, with the harm done at one of its moments. `ask` raises what a script raises."""
    redis.ask("FLUSHALL")
    agent, one = keys.agent(AGENT), str(AGENT)
    redis.ask("HSET", agent, "prefix", PREFIX, "company", COMPANY)

    def run(script: Script, named: list[str], *given: object) -> Any:
        return redis.ask("EVAL", script.text, len(named), *named, *given)

    def make(list_: str) -> Any:
        shared = ["a", 0, 0, 5, 100, NOW * 2, OK, list_]
        return run(scripts.MAKE, [PREFIX], *shared, ENTRY, "a", one, "wire", "7", 5, 5, 100, 100, 9)

    job = ["a", "sha", "{}", NOW, NOW * 2, 100, "eve", "{}", 3]
    steps = [
        lambda: run(scripts.PLAN, [PREFIX], *job, 0, ENTRY, ENTRY, ENTRY),
        lambda: run(scripts.PLAN, [PREFIX], "b", *job[1:], 1, "a", ENTRY),
        lambda: run(scripts.TAKE_DUE, [keys.PLANS], 1000),
        lambda: run(scripts.LOOK_PLAN, [JOB], 10),
        lambda: make("queue"),
        lambda: run(scripts.PLACES, [JOB], 0, 10),
        lambda: run(scripts.CHANGE, [PREFIX], "a", 0, "m", "{}", 9, "a", one, "other", "a:l00000000", "told"),
        lambda: run(scripts.MORE_TASKS, [PREFIX], "a", 100, 100, "{}", "1:2", ENTRY),
        lambda: run(scripts.CLAIM, [agent, PREFIX], one, 1, 9, 9999, 0, 10**6, 10**6),
        lambda: run(scripts.ACCEPT, [agent, PREFIX], one, 1, "i", 0, "a"),
        lambda: run(scripts.END_PLAN, [PREFIX, keys.PLANS], "a", "ERROR", OK),
        lambda: run(scripts.LEAVE_DUE, [keys.PLANS], f"{PREFIX}|a", 1, 1000),
        lambda: run(scripts.RESULT, [agent, PREFIX], one, 1, "i", 0, "a", "OK", OK),
        lambda: run(scripts.TELL, [keys.ENDED], 10),
        lambda: run(scripts.RETIRE, [PREFIX], -1000, 0),
    ]
    run(scripts.SESSION, [agent, "s"], one, "i", "d", 9, 9, "", "", "[]")
    for number, step in enumerate(steps):
        if number == moment + 1:
            for kind, what, how in harm:
                _do(redis, kind, what, how)
        step()


def _do(redis: Resp, kind: str, what: Any, how: Any) -> None:
    if kind == "field":
        if redis.ask("TYPE", what[0]) in {b"hash", b"none", "hash", "none"}:
            redis.ask("HSET", *what, how)
        return
    redis.ask("DEL", what)
    if kind == "key":
        redis.ask(how[0], what, *how[1:])


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (":plan", ("LSET", 0, b"\xff")),
        (":plan", ("LSET", 0, "{}")),
        (":plan", ("LSET", 0, '{"agent": "x"}')),
        (":plan", ("DEL",)),
        (":more", ("SET", "[")),
        (":more", ("DEL",)),
        ("", ("HSET", "doc", "x")),
        ("", ("HSET", "change", "x")),
        ("", ("HSET", "changes", b"\xff")),
    ],
)
async def test_a_damaged_plan_ends_its_job_and_holds_up_no_other(
    served: Served, agent: WireAgent, name: str, command: tuple[Any, ...]
) -> None:
    await submit(served, "first", target="1:7")
    await submit(served, "bad", target="1:7", depends_on=["first"])
    await submit(served, "good", target="1:7", depends_on=["first"])
    redis, key = served.seeded.redis, keys.job(COMPANY, "bad") + name
    await redis.call(command[0], key, *command[1:])
    assert len(await agent.poll(wait_s=0)) == 1
    await agent.run("first")
    await until(served, "good", QUEUED=1)
    for _ in range(3):  # another look at what is still due
        await redis.call("ZUNIONSTORE", keys.PLANS, 1, keys.PLANS, "WEIGHTS", 0)
        while await served.core.planner.round():
            pass
    assert (await served.ask("GET", "/api/v1/jobs/bad")).json["state"] == "ERROR"
    assert (await served.ask("GET", "/api/v1/jobs/bad/tasks")).status == 200
    assert [one["state"] for one in await tasks(served, "good")] == ["QUEUED"]


def test_those_that_wait_are_told_some_at_a_time(redis_socket: Path) -> None:
    """A thousand jobs may wait for each of a hundred that end together."""
    with Resp(redis_socket) as redis:
        redis.ask("FLUSHALL")
        redis.ask("SADD", f"{JOB}:waiting", *range(250))
        redis.ask("ZADD", keys.ENDED, 1, f"{PREFIX}|a")
        told = [redis.ask("EVAL", scripts.TELL.text, 1, keys.ENDED, 100) for _ in range(4)]
        assert told == [100, 100, 50, None]
