from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

from deployer.stores import keys
from support.seeded import COMPANY
from support.served import Served, WireAgent


def target(agent: WireAgent) -> str:
    return str(agent.agent)


async def test_a_job_is_accepted_run_and_shown(served: Served, agent: WireAgent) -> None:
    body = {
        "cmd": "execute",
        "args": {"cmd": "/bin/echo", "args": ["hi"], "domain": "demo", "name": "echo", "max_time": 30},
        "data": "",
        "target": target(agent),
        "fanout": "all",
        "id": "my.job_1-a",
    }
    accepted = await served.ask("POST", "/api/v1/jobs", json=body)
    assert accepted.status == 202
    assert accepted.header("location") == "/api/v1/jobs/my.job_1-a" == accepted.json["href"]
    assert accepted.json["state"] == "QUEUED"
    assert accepted.json["args"]["cmd"] == "/bin/echo"
    assert accepted.json["tasks"]["counts"]["QUEUED"] == 1
    commands = await agent.poll()
    assert [(c["id"], c["gid"], c["nid"], c["cmd"], c["company"]) for c in commands] == [
        ("my.job_1-a", 1, 7, "execute", COMPANY)
    ]
    await agent.run("my.job_1-a", exit_status=0, starttime=1_763_859_723_456, time=12)
    shown = await served.ask("GET", "/api/v1/jobs/my.job_1-a?wait=30")
    assert (shown.status, shown.json["state"]) == (200, "OK")
    assert shown.json["finished"].endswith("Z")
    task = (await served.ask("GET", shown.json["tasks"]["href"])).json["items"][0]
    assert (task["state"], task["exit_status"], task["time"], task["started"]) == (
        "OK",
        0,
        12,
        "2025-11-23T01:02:03.456Z",
    )
    assert task["agent"] == {"gid": 1, "nid": 7, "href": "/api/v1/agents/1:7"}


async def test_one_call_submits_and_waits(served: Served, agent: WireAgent) -> None:
    waiting = Deferred.fromCoroutine(served.submit_and_wait(target=target(agent), id="w"))
    assert [c["id"] for c in await agent.poll()] == ["w"]
    await agent.run("w")
    reply = await waiting
    assert (reply.status, reply.json["state"]) == (202, "OK")


async def test_a_wait_ends_with_its_time(served: Served, agent: WireAgent) -> None:
    await served.submit(target=target(agent), id="w")
    reply = await served.ask("GET", "/api/v1/jobs/w?wait=0.05")
    assert reply.json["state"] == "QUEUED"
    assert len(served.hub) == 0


async def test_the_same_id_and_body_many_times_at_once_is_one_job(served: Served, agent: WireAgent) -> None:
    sent = [Deferred.fromCoroutine(served.submit(target=target(agent), id="same")) for _ in range(100)]
    replies = await gatherResults(sent)
    assert sorted(reply.status for reply in replies) == [200] * 99 + [202]
    assert len(await agent.poll()) == 1


async def test_the_same_id_with_another_body_is_a_conflict(served: Served, agent: WireAgent) -> None:
    await served.submit(target=target(agent), id="same")
    reply = await served.submit(target=target(agent), id="same", data="other")
    assert (reply.status, reply.code) == (409, "conflict")
    assert (await served.submit(target=target(agent), id="same", not_after="2100-01-01T00:00:00Z")).status == 409


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"cmd": "nope"}, "/cmd"),
        ({"cmd": "__class__"}, "/cmd"),
        ({"cmd": "Ping"}, "/cmd"),
        ({"cmd": "kill"}, "/args/id"),
        ({"cmd": "kill", "data": "x"}, "/data"),
        ({"cmd": "kill", "args": {"id": "x", "signal": "FOO"}}, "/args/signal"),
        ({"cmd": 5}, "/cmd"),
        ({"target": "1"}, "/target"),
        ({"target": "role=none"}, "/target"),
        ({"target": "9:9"}, "/target"),
        ({"target": ["1:1"]}, "/target"),
        ({"id": "a/../b"}, "/id"),
        ({"id": "a:b"}, "/id"),
        ({"id": "{}"}, "/id"),
        ({"id": "a\n"}, "/id"),
        ({"id": "x" * 1000}, "/id"),
        ({"id": ""}, "/id"),
        ({"state": "OK"}, "/state"),
        ({"company": "other"}, "/company"),
        ({"data": "x" * (512 * 1024 + 1)}, "/data"),
        ({"data": 5}, "/data"),
        ({"args": []}, "/args"),
        ({"args": {"max_time": 5}}, "/args/max_time"),
        ({"cmd": "execute"}, "/args/cmd"),
        ({"cmd": "execute", "args": {"cmd": "x", "max_time": -2}}, "/args/max_time"),
        ({"cmd": "execute", "args": {"cmd": "x", "recurring_period": -5}}, "/args/recurring_period"),
        ({"cmd": "execute", "args": {"cmd": "x", "loglevels_ac": "9-1"}}, "/args/loglevels_ac"),
        ({"cmd": "execute", "args": {"cmd": "x", "args": ["ok", 5]}}, "/args/args/1"),
        ({"not_after": "tomorrow"}, "/not_after"),
        ({"not_after": "2100-01-01T00:00:00"}, "/not_after"),
        ({"not_after": 5}, "/not_after"),
        ({"fanout": 0}, "/fanout"),
        ({"batch": {"from": 1, "till": 2}}, "/batch/till"),
    ],
)
async def test_a_job_that_does_not_fit_is_refused_at_its_place(
    served: Served, fields: dict[str, Any], pointer: str
) -> None:
    reply = await served.submit(**fields)
    assert reply.status == 422, reply.body
    assert reply.pointers == [pointer]
    assert reply.code in {"invalid", "unknown_command", "no_matching_agent"}
    assert (await served.ask("GET", "/api/v1/jobs")).json["items"] == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"cmd":"ping","cmd":"ping","target":"1:1"}', b"\xff", b"[" * 100_000, b'{"cmd":NaN}', b"{} x"]
)
async def test_what_is_not_json_is_malformed(served: Served, body: bytes) -> None:
    reply = await served.ask("POST", "/api/v1/jobs", data=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.code) == (400, "malformed")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_another_type_is_refused(served: Served, headers: dict[str, str]) -> None:
    reply = await served.ask("POST", "/api/v1/jobs", data=b"{}", headers=headers)
    assert (reply.status, reply.code) == (415, "unsupported_type")


async def test_jobs_are_listed_newest_first_page_by_page(served: Served, agent: WireAgent) -> None:
    for n in range(5):
        await served.submit(target=target(agent), id=f"j{n}")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await served.ask("GET", f"/api/v1/jobs?limit=2{cursor}")).json
        seen += [job["id"] for job in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == ["j0", "j1", "j2", "j3", "j4"]
    by_state = await served.ask("GET", "/api/v1/jobs?state=OK")
    assert by_state.json["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1&limit=2",
        "cursor=a/b",
        "cursor=",
        "offset=5",
        "state=DONE",
        "__proto__=1",
    ],
)
async def test_a_query_that_does_not_fit_is_malformed(served: Served, query: str) -> None:
    reply = await served.ask("GET", f"/api/v1/jobs?{query}")
    assert (reply.status, reply.code) == (400, "malformed")


@pytest.mark.parametrize("query", ["wait=-1", "wait=nan", "wait=x", "wait=1&wait=2"])
async def test_a_wait_that_is_no_time_is_malformed(served: Served, query: str) -> None:
    assert (await served.ask("GET", f"/api/v1/jobs/x?{query}")).status == 400


async def test_what_does_not_exist_is_not_found_alike(served: Served, agent: WireAgent) -> None:
    await served.submit(target=target(agent), id="mine")
    await served.seeded.redis.call("RENAME", keys.job(COMPANY, "mine"), keys.job("other", "mine"))
    bodies = set()
    for path in ("mine", "never", "x" * 200, "a%2Fb", "%ff", "a%00", "..", "mine/log", "never/log", "mine/tasks"):
        reply = await served.ask("GET", f"/api/v1/jobs/{path}")
        assert (reply.status, reply.code) == (404, "not_found"), path
        bodies.add(reply.json["detail"])
    assert bodies <= {"this job does not exist", "there is nothing at this path"}
    for path in ("mine", "never"):
        assert (await served.ask("DELETE", f"/api/v1/jobs/{path}")).status == 404


async def test_deleting_a_job_cancels_what_waits_and_kills_what_runs(served: Served, agent: WireAgent) -> None:
    await served.submit(target=target(agent), id="runs")
    await agent.poll()
    await agent.post("accept", {"accepted": ["runs"]})
    await served.submit(target=target(agent), id="waits")
    cancelled = await served.ask("DELETE", "/api/v1/jobs/waits")
    assert (cancelled.status, cancelled.json["state"]) == (202, "KILLED")
    task = (await served.ask("GET", "/api/v1/jobs/waits/tasks")).json["items"][0]
    assert (task["code"], task["reason"]) == ("CANCELLED", "cancelled before it started")
    killing = await served.ask("DELETE", "/api/v1/jobs/runs")
    assert (killing.status, killing.json["state"]) == (202, "RUNNING")
    kill = (await agent.poll())[0]
    assert (kill["id"], kill["cmd"], kill["args"]) == ("runs:kill", "kill", {"id": "runs"})
    assert (await served.ask("DELETE", "/api/v1/jobs/runs")).status == 202
    await agent.post("accept", {"accepted": ["runs:kill"]})
    results = [{"id": "runs", "state": "KILLED", "code": "KILLED"}, {"id": "runs:kill", "state": "OK"}]
    assert (await agent.post("result", {"results": results})).json == {"receipts": ["OK", "OK"]}
    assert (await served.ask("GET", "/api/v1/jobs/runs")).json["state"] == "KILLED"
    assert (await served.ask("DELETE", "/api/v1/jobs/runs")).status == 202


async def test_new_jobs_are_refused_when_redis_is_nearly_full(served: Served, agent: WireAgent) -> None:
    served.memory = 0.96
    reply = await served.submit(target=target(agent))
    assert (reply.status, reply.code) == (507, "no_space")
    assert (await served.ask("GET", "/readyz")).status == 503
    served.memory = 0.85
    assert (await served.submit(target=target(agent))).status == 202
    assert "85%" in (await served.ask("GET", "/readyz")).json["warnings"][0]


async def test_a_full_queue_asks_to_try_again_later(served: Served, agent: WireAgent) -> None:
    await served.seeded.redis.call("SET", f"{keys.prefix(COMPANY)}open", 100_000)
    reply = await served.submit(target=target(agent))
    assert (reply.status, reply.code, reply.header("retry-after")) == (429, "queue_full", "1")


async def test_without_redis_the_answer_is_try_again(served: Served, agent: WireAgent) -> None:
    await served.ask("GET", "/api/v1/jobs")  # the token is known for a second
    await served.seeded.redis.stop()
    reply = await served.submit(target=target(agent))
    assert (reply.status, reply.code, reply.header("retry-after")) == (503, "unavailable", "1")
    assert (await served.ask("GET", "/readyz")).status == 503
    assert (await served.ask("GET", "/livez")).status == 200
    await served.seeded.redis.start(10)


async def test_a_task_that_waits_for_an_agent_that_is_away_says_so(served: Served, agent: WireAgent) -> None:
    for target, reason in (("1:7", None), ("1:1", "its agent is offline")):
        await served.submit(id=f"j{target[2:]}", target=target)
        (task,) = (await served.ask("GET", f"/api/v1/jobs/j{target[2:]}/tasks")).json["items"]
        assert (task["state"], task["code"], task["reason"]) == ("QUEUED", None, reason)
    await served.seeded.redis.call("HSET", keys.agent(agent.agent), "state", "overdue")
    (task,) = (await served.ask("GET", "/api/v1/jobs/j7/tasks")).json["items"]
    assert task["reason"].startswith("its agent is overdue, last heard of at 20")
