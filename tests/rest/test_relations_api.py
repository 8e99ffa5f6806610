"""What becomes of jobs after they were submitted: more tasks, children, changes, re-runs of what has failed."""

from typing import Any

import pytest

from deployer.model.access import Role
from support.planned import ECHO, fleet, job, run_all, submit, tasks, until
from support.served import Served, WireAgent

BATCH = {"batch": [1], **ECHO}


async def test_jobs_that_wait_are_the_children_of_the_one_that_they_wait_for(served: Served, agent: WireAgent) -> None:
    await submit(served, "a", target="1:7")
    for number in range(5):
        await submit(served, f"c{number}", target="1:7", depends_on=["a"])
    path = (await job(served, "a"))["children"]["href"]
    first = (await served.ask("GET", f"{path}?limit=3")).json
    second = (await served.ask("GET", f"{path}?limit=3&cursor={first['next']}")).json
    assert [one["id"] for one in first["items"] + second["items"]] == [f"c{number}" for number in range(5)]
    assert second["next"] is None
    assert (await served.ask("GET", f"{path}?cursor=x")).status == 400
    assert (await served.ask("GET", "/api/v1/jobs/none/children")).status == 404


async def test_an_open_batch_gets_more_items(served: Served) -> None:
    agents = await fleet(served, 2)
    await submit(served, target="nid>=11", batch=["a", "b"], data="to all", **ECHO)
    await until(served, "j", QUEUED=2)
    reply = await served.ask("POST", "/api/v1/jobs/j/tasks", json={"batch": ["c", "d", "e"]})
    assert (reply.status, sum(reply.json["tasks"]["counts"].values())) == (202, 5)
    await until(served, "j", QUEUED=5)
    assert [(one["id"], one["item"]) for one in await tasks(served)][2:] == [("j:3", "c"), ("j:4", "d"), ("j:5", "e")]
    await run_all(agents)
    assert (await job(served))["state"] == "OK"
    reply = await served.ask("POST", "/api/v1/jobs/j/tasks", json={"batch": ["f"]})
    assert (reply.status, reply.code) == (409, "conflict")


async def test_an_open_job_gets_more_agents_with_the_same_data(served: Served) -> None:
    first, second = await fleet(served, 2)
    await submit(served, target="1:11", data="said to all")
    reply = await served.ask("POST", "/api/v1/jobs/j/tasks", json={"target": "1:12"})
    assert reply.status == 202
    await until(served, "j", QUEUED=2)
    (one,), (other,) = await first.poll(wait_s=0), await second.poll(wait_s=0)
    assert (one["id"], other["id"]) == ("j", "j:2")
    assert one["data_sha256"] == other["data_sha256"]


@pytest.mark.parametrize(
    ("fields", "body", "pointer"),
    [
        ({}, {}, "/target"),
        ({}, {"batch": [1]}, "/target"),
        ({}, {"target": "role=none"}, "/target"),
        ({}, {"target": "1:11", "batch": [1]}, "/target"),
        (BATCH, {"target": "1:11"}, "/batch"),
        (BATCH, {"batch": {"from": 1, "to": 10_000}}, ""),
        (BATCH, {"batch": []}, "/batch"),
    ],
)
async def test_tasks_that_cannot_be_added_are_refused(served: Served, fields: Any, body: Any, pointer: str) -> None:
    await submit(served, target="1:1", **fields)
    reply = await served.ask("POST", "/api/v1/jobs/j/tasks", json=body)
    assert (reply.status, reply.pointers) == (422, [pointer]), reply.body


async def test_who_may_not_use_the_shell_adds_no_tasks_that_do(served: Served) -> None:
    await submit(served, target="1:1", args={"cmd": "x", "shell": True})
    token = await served.token_of("op", Role.OPERATOR)
    reply = await served.ask("POST", "/api/v1/jobs/j/tasks", json={"target": "1:1"}, token=token)
    assert (reply.status, reply.code) == (403, "forbidden")
    assert (await served.ask("DELETE", "/api/v1/jobs/j")).status == 202
    assert (await served.ask("POST", "/api/v1/jobs/j/rerun", json={}, token=token)).status == 403


async def test_only_what_has_failed_runs_again(served: Served) -> None:
    agents = await fleet(served, 3)
    await submit(served, target="nid>=11", data="d", priority=3)
    await run_all(agents[:1])
    await run_all(agents[1:2], "ERROR")
    await run_all(agents[2:], "TIMEOUT")
    reply = await served.ask("POST", "/api/v1/jobs/j/rerun", json={"id": "again"})
    assert (reply.status, reply.json["rerun_of"], reply.json["priority"]) == (
        202,
        {"id": "j", "href": "/api/v1/jobs/j"},
        3,
    )
    assert [one["agent"]["nid"] for one in await tasks(served, "again")] == [12, 13]
    assert await run_all(agents) == ["again", "again"]
    assert (await served.ask("POST", "/api/v1/jobs/j/rerun", json={"id": "again"})).status == 200
    reply = await served.ask("POST", "/api/v1/jobs/again/rerun", json={})
    assert (reply.status, reply.code) == (422, "nothing_to_rerun")


async def test_items_that_failed_and_those_that_never_began_run_again(served: Served) -> None:
    (agent,) = await fleet(served, 1)
    await submit(served, target="1:11", batch=[1, 2, 3, 4], rolling={"size": 2, "max_failures": 1}, **ECHO)
    await until(served, "j", QUEUED=2)
    await agent.poll(wait_s=0)
    await agent.run("j:1", state="OK")
    await until(served, "j", SENT=1, QUEUED=1)
    await agent.run("j:2", state="ERROR")
    await until(served, "j", ERROR=2, QUEUED=1)
    await run_all([agent])
    reply = await served.ask("POST", "/api/v1/jobs/j/rerun", json={"id": "k"})
    assert (reply.status, reply.json["rolling"]) == (202, {"size": 2, "max_failures": 1})
    assert [one["item"] for one in await tasks(served, "k")] == [2, 4]


async def test_the_priority_of_what_waits_can_be_changed(served: Served, agent: WireAgent) -> None:
    for name, priority in (("a", 0), ("b", 0), ("c", 5), ("d", 0)):
        await submit(served, name, target="1:7", priority=priority)
    for name, priority in (("b", 9), ("c", -1), ("d", 0)):
        reply = await served.ask("PATCH", f"/api/v1/jobs/{name}", json={"priority": priority})
        assert (reply.status, reply.json["priority"]) == (200, priority)
    assert [one["id"] for one in await agent.poll(wait_s=0)] == ["b", "a", "d", "c"]


async def test_the_time_limit_of_what_waits_and_of_what_runs_can_be_changed(served: Served, agent: WireAgent) -> None:
    await submit(served, "runs", target="1:7", args={"cmd": "x", "max_time": 5})
    assert len(await agent.poll(wait_s=0)) == 1
    assert (await agent.post("accept", {"accepted": ["runs"]})).json == {"verdicts": ["START"]}
    await submit(served, "waits", target="1:7", data="d", args={"cmd": "x"})
    for name in ("runs", "waits"):
        reply = await served.ask("PATCH", f"/api/v1/jobs/{name}", json={"max_time": 60})
        assert (reply.status, reply.json["args"]["max_time"]) == (200, 60)
    told, waited = await agent.poll(wait_s=0)
    assert (told["cmd"], told["args"]) == ("limit", {"id": "runs", "max_time": 60})
    assert told["id"].startswith("runs:l")
    assert (waited["id"], waited["args"]["max_time"]) == ("waits", 60)
    assert (await agent.post("result", {"results": [{"id": "runs", "state": "OK"}]})).json == {"receipts": ["OK"]}
    assert (await job(served, "runs"))["state"] == "OK"
    reply = await served.ask("PATCH", "/api/v1/jobs/runs", json={"max_time": 1})
    assert (reply.status, reply.code) == (409, "conflict")


async def test_tasks_that_are_made_later_have_the_change_too(served: Served) -> None:
    (agent,) = await fleet(served, 1)
    await submit(served, target="1:11", batch=[1, 2, 3], rolling={"size": 1}, **ECHO)
    await until(served, "j", QUEUED=1)
    assert (await served.ask("PATCH", "/api/v1/jobs/j", json={"max_time": 7, "priority": 2})).status == 200
    for number in (1, 2, 3):
        await until(served, "j", QUEUED=1)
        (command,) = await agent.poll(wait_s=0)
        assert (command["args"]["max_time"], command["args"]["args"]) == (7, [f"no {number} of $item"])
        await agent.run(command["id"])
    assert (await job(served))["state"] == "OK"


@pytest.mark.parametrize(
    ("fields", "change", "pointer"),
    [
        ({"args": {"cmd": "x", "max_time": -1}}, {"max_time": 5}, "/max_time"),
        ({"args": {"cmd": "x", "recurring_period": 5}}, {"max_time": 5}, "/max_time"),
        ({"cmd": "ping", "args": {}}, {"max_time": 5}, "/max_time"),
        ({}, {"max_time": -1}, "/max_time"),
        ({}, {"priority": 1001}, "/priority"),
        ({}, {"state": "OK"}, "/state"),
    ],
)
async def test_what_cannot_be_changed_is_refused(served: Served, fields: Any, change: Any, pointer: str) -> None:
    await submit(served, target="1:1", **fields)
    reply = await served.ask("PATCH", "/api/v1/jobs/j", json=change)
    assert (reply.status, reply.pointers) == (422, [pointer]), reply.body


async def test_who_may_use_some_agents_of_a_job_changes_nothing_of_it(served: Served) -> None:
    await fleet(served, 2)
    await submit(served, "both", target="nid>=11")
    await submit(served, "grown", target="1:11")
    assert (await served.ask("POST", "/api/v1/jobs/grown/tasks", json={"target": "1:12"})).status == 202
    await submit(served, "own", target="1:11")
    token = await served.token_of("bob", Role.OPERATOR)
    limited = {"json": {"agents": ["1:11"]}, "headers": {"If-Match": "*"}}
    assert (await served.ask("PATCH", "/api/v1/users/bob", **limited)).status == 200
    for name, status in (("both", 403), ("grown", 403), ("own", 202)):
        assert (await served.ask("DELETE", f"/api/v1/jobs/{name}", token=token)).status == status
    for name in ("both", "grown"):
        reply = await served.ask("PATCH", f"/api/v1/jobs/{name}", json={"priority": 1}, token=token)
        assert (reply.status, reply.code) == (403, "forbidden")
    assert (await job(served, "both"))["state"] == "QUEUED"


async def test_who_may_use_an_agent_that_came_later_sees_the_job(served: Served) -> None:
    await fleet(served, 2)
    await submit(served, "grown", target="1:11")
    assert (await served.ask("POST", "/api/v1/jobs/grown/tasks", json={"target": "1:12"})).status == 202
    token = await served.token_of("bob", Role.OPERATOR)
    limited = {"json": {"agents": ["1:12"]}, "headers": {"If-Match": "*"}}
    assert (await served.ask("PATCH", "/api/v1/users/bob", **limited)).status == 200
    assert (await served.ask("GET", "/api/v1/jobs/grown", token=token)).status == 200
    await until(served, "grown", QUEUED=2)
    found = (await served.ask("GET", "/api/v1/jobs/grown/tasks", token=token)).json["items"]
    assert [one["agent"]["nid"] for one in found] == [12]


async def test_a_job_that_is_being_ended_gets_no_more_tasks(served: Served, agent: WireAgent) -> None:
    await submit(served, target="1:7")
    assert len(await agent.poll(wait_s=0)) == 1
    assert (await agent.post("accept", {"accepted": ["j"]})).json == {"verdicts": ["START"]}
    assert (await served.ask("DELETE", "/api/v1/jobs/j")).json["state"] == "RUNNING"
    reply = await served.ask("POST", "/api/v1/jobs/j/tasks", json={"target": "1:7"})
    assert (reply.status, reply.code) == (409, "conflict")


async def test_the_end_of_a_job_is_told_to_many_that_wait_for_it_some_at_a_time(
    served: Served, agent: WireAgent
) -> None:
    await submit(served, "first", target="1:7")
    for number in range(250):
        await submit(served, f"c{number}", target="1:7", depends_on=["first"])
    assert len(await agent.poll(1, wait_s=0)) == 1
    await agent.run("first")
    for number in (0, 124, 249):
        await until(served, f"c{number}", QUEUED=1)


async def test_who_may_use_some_agents_adds_none_that_are_not_there_for_them(served: Served) -> None:
    await fleet(served, 2)
    await submit(served, "first", target="1:1")
    await submit(served, "plan", target="1:11", depends_on=["first"])
    token = await served.token_of("bob", Role.OPERATOR)
    limited = {"json": {"agents": ["1:11"]}, "headers": {"If-Match": "*"}}
    assert (await served.ask("PATCH", "/api/v1/users/bob", **limited)).status == 200
    for target in ("1:12", "1:99", "nid=12"):
        reply = await served.ask("POST", "/api/v1/jobs/plan/tasks", json={"target": target}, token=token)
        assert (reply.status, reply.code) == (422, "no_matching_agent"), target
    body = {"cmd": "ping", "target": "1:12", "rolling": {"size": 1}}
    assert (await served.ask("POST", "/api/v1/jobs", json=body, token=token)).code == "no_matching_agent"
    assert (await job(served, "plan"))["state"] == "BLOCKED"
