"""Jobs for many agents: what a target means, on which of them tasks are, what a limited user sees of it."""

from collections.abc import Sequence
from typing import Any

import pytest

from deployer.model import limits
from deployer.protocol.ids import AgentId
from support.served import Reply, Served, WireAgent


async def _fleet(served: Served, count: int) -> list[WireAgent]:
    """Agents 1:11 and on, those with an odd number with the role web."""
    made = []
    for nid in range(11, 11 + count):
        agent = WireAgent(served, AgentId(1, nid))
        assert (await agent.join(served.seeded.join_token.text)).status == 200
        assert (await agent.open(traits={"roles": ["web"] if nid % 2 else []})).status == 200
        made.append(agent)
    return made


async def _submit(served: Served, target: str, **more: Any) -> Reply:
    return await served.ask("POST", "/api/v1/jobs", json={"cmd": "ping", "target": target, "id": "j", **more})


async def _agents(served: Served, **more: Any) -> list[int]:
    items = (await served.ask("GET", "/api/v1/jobs/j/tasks", **more)).json["items"]
    return [one["agent"]["nid"] for one in items]


async def test_a_job_runs_on_all_agents_that_its_target_means(served: Served) -> None:
    fleet = await _fleet(served, 5)
    reply = await _submit(served, "role=web and state=online")
    assert (reply.status, reply.json["target"], reply.json["tasks"]["counts"]["QUEUED"]) == (
        202,
        "role=web and state=online",
        3,
    )
    assert await _agents(served) == [11, 13, 15]
    for agent in fleet:
        commands = await agent.poll()
        assert [one["nid"] for one in commands] == ([agent.agent.nid] if agent.agent.nid % 2 else [])
    for agent in fleet[::2]:
        await agent.run("j")
    assert (await served.ask("GET", "/api/v1/jobs/j")).json["state"] == "OK"
    again = await _submit(served, "role=web and state=online")
    assert (again.status, again.json["state"]) == (200, "OK")
    assert (await _submit(served, "role=web")).status == 409


@pytest.mark.parametrize(
    ("fanout", "count"),
    [("all", 6), ("one", 1), (2, 2), (99, 6)],
)
async def test_tasks_are_on_so_many_agents(served: Served, fanout: object, count: int) -> None:
    await _fleet(served, 5)
    assert (await _submit(served, "1:*", fanout=fanout)).status == 202
    assert len(await _agents(served)) == count


async def test_those_that_are_online_come_first_then_those_with_the_least_to_do(served: Served) -> None:
    await _fleet(served, 3)
    for number in range(2):
        await served.submit(target="1:11", id=f"busy{number}", cmd="execute", args={"cmd": "x"})
    assert (await _submit(served, "*", fanout=2)).status == 202
    assert await _agents(served) == [12, 13]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("role=none", "no agent matches this target"),
        ("2:*", "no agent matches this target"),
        ("role", "character 5: an operator such as = is missing at the end"),
        ("", "character 1: a comparison is missing at the end"),
        ("1:9999999999", "is not gid:nid"),
        ("colour=red", "is none of gid, nid"),
    ],
)
async def test_a_target_that_means_nothing_is_refused(served: Served, target: str, message: str) -> None:
    reply = await _submit(served, target)
    assert (reply.status, reply.pointers) == (422, ["/target"])
    assert message in reply.json["errors"][0]["message"]


async def test_a_target_that_means_too_many_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await _fleet(served, 4)
    monkeypatch.setattr(limits, "TASKS_PER_JOB", 4)
    reply = await _submit(served, "*")
    assert (reply.status, reply.pointers) == (422, ["/target"])
    assert (await _submit(served, "*", fanout=5)).status == 422
    assert (await _submit(served, "role=web")).status == 202


async def test_a_limited_user_runs_on_its_own_agents_and_sees_only_their_tasks(served: Served) -> None:
    await _fleet(served, 4)
    await served.ask("POST", "/api/v1/users", json={"name": "sam", "role": "operator", "agents": ["1:11", "1:12"]})
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "t", "user": "sam"})).json["token"]
    assert (await _submit(served, "nid>10")).status == 202
    assert await _agents(served) == [11, 12, 13, 14]
    assert await _agents(served, token=token) == [11, 12]
    assert [one["id"] for one in (await served.ask("GET", "/api/v1/jobs", token=token)).json["items"]] == ["j"]
    body = {"cmd": "ping", "target": "*", "id": "mine"}
    assert (await served.ask("POST", "/api/v1/jobs", json=body, token=token)).status == 202
    items = (await served.ask("GET", "/api/v1/jobs/mine/tasks")).json["items"]
    assert [one["agent"]["nid"] for one in items] == [11, 12]
    hidden = {"cmd": "ping", "target": "nid>12", "id": "hidden"}
    assert (await served.ask("POST", "/api/v1/jobs", json=hidden, token=token)).code == "no_matching_agent"
    assert (await served.ask("POST", "/api/v1/jobs", json=hidden)).status == 202
    assert (await served.ask("GET", "/api/v1/jobs/hidden", token=token)).status == 404


async def test_revoked_agents_are_not_meant(served: Served) -> None:
    await _fleet(served, 3)
    await served.ask("DELETE", "/api/v1/agents/1:12")
    assert (await _submit(served, "nid>10")).status == 202
    assert await _agents(served) == [11, 13]


async def test_the_log_of_many_agents_is_one_log(served: Served) -> None:
    fleet = await _fleet(served, 2)
    args = {"cmd": "x", "domain": "d", "name": "n"}
    assert (await _submit(served, "nid>10", cmd="execute", args=args)).status == 202
    for agent in fleet:
        await agent.poll()
        await agent.post("accept", {"accepted": ["j"]})
        group = {"task": "j", "domain": "d", "name": "n", "messages": [[1, 1, 5, f"from {agent.agent}"]]}
        batch = {"boot": "a" * 32, "seq": 1, "groups": [group]}
        assert (await agent.post("log", batch)).status == 200
    log = (await served.ask("GET", "/api/v1/jobs/j/log")).json
    assert [(one["agent"], one["data"]) for one in log["items"]] == [("1:11", "from 1:11"), ("1:12", "from 1:12")]
    assert log["next"] is None
    assert (await served.ask("GET", "/api/v1/jobs/j/log?cursor=agent.0")).status == 400


async def test_all_tasks_of_a_job_are_ended_together(served: Served) -> None:
    fleet = await _fleet(served, 3)
    assert (await _submit(served, "nid>10", cmd="execute", args={"cmd": "x"})).status == 202
    await fleet[0].poll()
    await fleet[0].post("accept", {"accepted": ["j"]})
    assert (await served.ask("DELETE", "/api/v1/jobs/j")).status == 202
    counts = (await served.ask("GET", "/api/v1/jobs/j")).json["tasks"]["counts"]
    assert (counts["KILLED"], counts["RUNNING"]) == (2, 1)
    kills: Sequence[Any] = await fleet[0].poll()
    assert [one["cmd"] for one in kills] == ["kill"]


async def test_a_command_of_the_agents_own_needs_each_agent_to_define_it(served: Served) -> None:
    fleet = await _fleet(served, 3)
    for agent in fleet[::2]:
        assert (await agent.open(traits={"roles": ["web"]}, extensions=["greet"])).status == 200
    reply = await _submit(served, "1:*", cmd="greet")
    assert (reply.status, reply.code) == (422, "unknown_command")
    assert (await _submit(served, "role=web", cmd="greet")).status == 202
    assert await _agents(served) == [11, 13]
