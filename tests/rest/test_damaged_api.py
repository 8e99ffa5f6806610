"""Damaged records are shown as such; no list is unreadable because of one of its items (RELIABILITY D3)."""

import pytest

from deployer.protocol.codes import CORRUPT
from deployer.stores import keys
from support.seeded import AGENT, COMPANY
from support.served import Served, WireAgent

JOB = keys.job(COMPANY, "a")
TASK = keys.task(COMPANY, "a", AGENT)
RESULT = '{"id":"a","state":"OK"}'

JOBS: dict[str, list[tuple[object, ...]]] = {
    "a string": [("DEL", JOB), ("SET", JOB, "x")],
    "no document": [("HDEL", JOB, "doc")],
    "not JSON": [("HSET", JOB, "doc", b"\x80\x04pickle")],
    "another document": [("HSET", JOB, "doc", '{"id":5}')],
    "nested": [("HSET", JOB, "doc", "[" * 100_000)],
    "huge": [("HSET", JOB, "doc", "x" * 5_000_000)],
    "counts": [("HSET", JOB, "n:QUEUED", "many")],
    "no counts": [("HDEL", JOB, "n:QUEUED")],
    "end": [("HSET", JOB, "finished", "soon")],
}


@pytest.mark.parametrize("harm", JOBS.values(), ids=JOBS)
async def test_a_damaged_job_is_an_error_and_its_list_is_whole(served: Served, harm: list[tuple[object, ...]]) -> None:
    for job in ("a", "b"):
        assert await served.seeded.submit(job) == "OK"
    for command in harm:
        await served.seeded.redis.call(*command)
    shown = (await served.ask("GET", "/api/v1/jobs/a")).json
    assert (shown["id"], shown["state"], shown["code"]) == ("a", "ERROR", CORRUPT)
    listed = (await served.ask("GET", "/api/v1/jobs")).json["items"]
    assert {(one["id"], one["state"], one["code"]) for one in listed} == {
        ("a", "ERROR", CORRUPT),
        ("b", "QUEUED", None),
    }
    for path, status in (
        ("/api/v1/jobs/a/tasks", 200),
        ("/api/v1/jobs/a/log", 200),
        ("/api/v1/jobs/a/tasks/1:1/runs", 200),
    ):
        assert (await served.ask("GET", path)).status == status
    assert (await served.ask("GET", "/api/v1/jobs/a?wait=5")).json["state"] == "ERROR"
    assert (await served.submit(id="a")).status == 409
    assert (await served.ask("DELETE", "/api/v1/jobs/a")).status == 202
    assert served.seeded.redis.damage.met > 0


TASKS: dict[str, list[tuple[object, ...]]] = {
    "a string": [("DEL", TASK), ("SET", TASK, "x")],
    "gone": [("DEL", TASK)],
    "no state": [("HDEL", TASK, "state")],
    "another state": [("HSET", TASK, "state", b"\xff")],
    "final without a result": [("HSET", TASK, "state", "OK")],
    "a result that is not JSON": [("HSET", TASK, "state", "OK", "result", b"\x80\x04pickle")],
    "another result": [("HSET", TASK, "state", "OK", "result", '{"id":"a"}')],
    "a huge result": [("HSET", TASK, "state", "OK", "result", "x" * 9_000_000)],
    "a time": [("HSET", TASK, "state", "OK", "result", RESULT, "finished", "soon")],
    "runs": [("HSET", TASK, "runs", "many")],
}


@pytest.mark.parametrize("harm", TASKS.values(), ids=TASKS)
async def test_a_damaged_task_is_an_error_and_its_list_is_whole(served: Served, harm: list[tuple[object, ...]]) -> None:
    other = await served.seeded.join("other-key", 2)
    assert await served.seeded.submit("a", AGENT, other) == "OK"
    for command in harm:
        await served.seeded.redis.call(*command)
    items = (await served.ask("GET", "/api/v1/jobs/a/tasks")).json["items"]
    assert [(one["state"], one["code"]) for one in items] == [("ERROR", CORRUPT), ("QUEUED", None)]
    assert (await served.ask("GET", "/api/v1/jobs/a/tasks/1:1/runs")).status in {200, 404}
    assert (await served.ask("GET", "/api/v1/jobs/a/log")).status in {200, 404}
    assert (await served.ask("DELETE", "/api/v1/jobs/a")).status == 202


async def test_damaged_members_of_indexes_are_left_out(served: Served) -> None:
    assert await served.seeded.submit("a") == "OK"
    prefix, redis = keys.prefix(COMPANY), served.seeded.redis
    await redis.call("ZADD", f"{prefix}jobs", 0, b"5:\xff", 0, "no colon", 0, "9:ghost")
    await redis.call("RPUSH", f"{JOB}:tasks", "no at", b"\xff@1:1", "a@x:y")
    await redis.call("ZADD", f"{TASK}:runs", 1, "x", 2, '{"id":"a","state":"OK","run":2}')
    assert [one["id"] for one in (await served.ask("GET", "/api/v1/jobs")).json["items"]] == ["a"]
    assert len((await served.ask("GET", "/api/v1/jobs/a/tasks")).json["items"]) == 1
    assert [one["run"] for one in (await served.ask("GET", "/api/v1/jobs/a/tasks/1:1/runs")).json["items"]] == [2]
    for key in (f"{prefix}jobs", f"{JOB}:tasks", f"{TASK}:runs"):
        await redis.call("DEL", key)
        await redis.call("SET", key, "x")
    assert (await served.ask("GET", "/api/v1/jobs")).json["items"] == []
    assert (await served.ask("GET", "/api/v1/jobs/a/tasks")).json["items"] == []
    assert (await served.ask("GET", "/api/v1/jobs/a/tasks/1:1/runs")).json["items"] == []


async def test_a_damaged_log_is_read_without_what_is_damaged(served: Served, agent: WireAgent) -> None:
    await served.submit(id="j", target="1:7", cmd="execute", args={"cmd": "/bin/true", "domain": "d", "name": "n"})
    await agent.poll()
    await agent.post("accept", {"accepted": ["j"]})
    for seq in (1, 2):
        group = {"task": "j", "domain": "d", "name": "n", "messages": [[1, seq, 1, f"line {seq}"]]}
        assert (await agent.post("log", {"boot": "0" * 32, "seq": seq, "groups": [group]})).status == 200
        if seq == 1:
            await served.seeded.redis.call("XADD", "log.d.n", "*", "m", b"\x80\x04pickle")
            await served.seeded.redis.call("XADD", "log.d.n", "*", "x", '[{"task":5}]')
    items = (await served.ask("GET", "/api/v1/jobs/j/log")).json["items"]
    assert [one["data"] for one in items] == ["line 1", "line 2"]
    for stream, last in (("log.d.n", "x"), (b"\xff", "1-1")):
        await served.seeded.redis.call("HSET", keys.job(COMPANY, "j"), "log_stream", stream, "log_last", last)
        assert (await served.ask("GET", "/api/v1/jobs/j/log")).status == 200
    await served.seeded.redis.call("DEL", "log.d.n")
    await served.seeded.redis.call("SET", "log.d.n", "x")
    await served.seeded.redis.call("HSET", keys.job(COMPANY, "j"), "log_stream", "log.d.n", "log_last", "9-1")
    assert (await served.ask("GET", "/api/v1/jobs/j/log")).json["items"] == []


async def test_damaged_agents_and_hosts_keep_no_list_from_being_read(served: Served, agent: WireAgent) -> None:
    redis = served.seeded.redis
    for harm in (
        [("RPUSH", f"{keys.agent(AGENT)}:current", "x")],
        [("DEL", f"{keys.agent(AGENT)}:current"), ("SET", f"{keys.agent(AGENT)}:current", "x")],
        [("HSET", keys.host(AGENT), "summary", "x", "n", "1", "sha", "x")],
        [("HSET", keys.host(AGENT), "n", "x", "facts", "x")],
        [("HSET", f"{keys.prefix(COMPANY)}scripts", "x", "x")],
        [("ZADD", keys.host_versions(AGENT), 5, "x")],
        [("DEL", keys.host(AGENT)), ("SET", keys.host(AGENT), "x")],
        [("HSET", keys.agent(AGENT), "last_seen", "x")],
        [("DEL", keys.agent(AGENT)), ("SET", keys.agent(AGENT), "x")],
    ):
        for command in harm:
            await redis.call(*command)
        for path in (
            "agents",
            "hosts",
            "processes",
            "stats",
            "scripts",
            "agents/1:1/stats",
            "agents/1:1",
            "hosts/1:1",
            "hosts/1:1/facts",
            "hosts/1:1/history",
        ):
            reply = await served.ask("GET", f"/api/v1/{path}")
            assert reply.status in {200, 404}, (harm, path, reply.body)


async def test_a_damaged_token_or_session_is_nobodys(served: Served, agent: WireAgent) -> None:
    redis = served.seeded.redis
    await redis.call("HSET", keys.token(served.seeded.admin.kid), "role", "king")
    assert (await served.ask("GET", "/api/v1/jobs")).status == 401
    await redis.call("HSET", keys.token(served.seeded.admin.kid), "role", "admin", "sha", "xyz")
    assert (await served.ask("GET", "/api/v1/jobs")).status == 401
    (session,) = [key.decode() for key in await redis.call("KEYS", "dpl:session:*")]
    await redis.call("HDEL", session, "company")
    assert (await agent.post("accept", {"accepted": []})).status == 401
    await redis.call("HSET", keys.agent(agent.agent), "public_key", "x")
    assert (await agent.open()).status == 401
