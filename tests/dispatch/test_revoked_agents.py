"""What a revoked agent has not done ends, and nothing new goes to it."""

from typing import Any

import pytest

from deployer.dispatch.jobs import LOST_RESULT, REVOKED_RESULT
from deployer.stores import keys
from support.served import Served, WireAgent


async def _abandon(served: Served) -> int:
    """All rounds; how many tasks were looked at."""
    looked = 0
    while some := await served.core.agents.abandon(REVOKED_RESULT, LOST_RESULT):
        looked += some
    return looked


async def _submit(served: Served, *names: str) -> None:
    for name in names:
        assert (await served.submit(id=name, target="1:7", cmd="execute", args={"cmd": "x"})).status == 202


async def _task(served: Served, job: str) -> dict[str, Any]:
    (task,) = (await served.ask("GET", f"/api/v1/jobs/{job}/tasks")).json["items"]
    found: dict[str, Any] = task
    return found


async def test_each_task_of_a_revoked_agent_ends_as_far_as_it_was(served: Served, agent: WireAgent) -> None:
    await _submit(served, "done", "running", "sent")
    await agent.poll()
    await agent.post("accept", {"accepted": ["done", "running"]})
    await agent.post("result", {"results": [{"id": "done", "state": "OK"}]})
    await _submit(served, "queued")
    assert (await served.ask("DELETE", "/api/v1/jobs/running")).status == 202
    before = (await served.ask("GET", "/api/v1/jobs/running")).json["state"]
    assert (await served.ask("DELETE", "/api/v1/agents/1:7")).status == 200
    assert await _abandon(served) == 4  # the kill of what runs too
    ends = {}
    for job in ("done", "running", "sent", "queued"):
        task = await _task(served, job)
        ends[job] = (task["state"], task["code"], task["outcome"])
    assert before == "RUNNING"
    assert ends == {
        "done": ("OK", None, None),
        "running": ("ERROR", "AGENT_REVOKED", "unknown"),
        "sent": ("ERROR", "AGENT_REVOKED", None),
        "queued": ("ERROR", "AGENT_REVOKED", None),
    }
    assert await served.seeded.redis.call("ZCARD", keys.REVOKED) == 0
    assert await _abandon(served) == 0


async def test_many_tasks_end_in_several_rounds(served: Served, agent: WireAgent) -> None:
    names = [f"j{number}" for number in range(230)]
    await _submit(served, *names)
    sent = [one["id"] for one in await agent.poll(100)]
    await agent.post("accept", {"accepted": sent[:50]})
    await served.ask("DELETE", "/api/v1/agents/1:7")
    assert await _abandon(served) == 230
    page = (await served.ask("GET", "/api/v1/jobs?limit=1000&state=ERROR")).json["items"]
    assert sorted(one["id"] for one in page) == sorted(names)


async def test_nothing_new_goes_to_a_revoked_agent(served: Served, agent: WireAgent) -> None:
    await served.ask("DELETE", "/api/v1/agents/1:7")
    refused = await served.submit(target="1:7")
    foreign = await served.submit(target="1:99")
    assert (refused.status, refused.code) == (foreign.status, foreign.code) == (422, "no_matching_agent")


@pytest.mark.parametrize("list_", ["queue", "control", "inflight", "running"])
async def test_what_is_damaged_of_a_revoked_agent_is_passed_over(served: Served, agent: WireAgent, list_: str) -> None:
    await _submit(served, "j")
    await served.ask("DELETE", "/api/v1/agents/1:7")
    redis = served.seeded.redis
    if list_ != "queue":
        await redis.call("SET", f"{keys.agent(agent.agent)}:{list_}", "damaged")
    await redis.call("RPUSH", f"{keys.agent(agent.agent)}:queue", "gone")
    await redis.call("ZADD", keys.REVOKED, 1, "nonsense")
    await _abandon(served)
    assert (await _task(served, "j"))["code"] == "AGENT_REVOKED"
    assert await redis.call("ZCARD", keys.REVOKED) == 0
