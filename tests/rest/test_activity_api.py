"""What an agent has done and does (seed 002)."""

from typing import Any

from deployer.protocol.levels import CRITICAL
from deployer.protocol.messages import OWN_FAILURES
from deployer.stores import keys
from support.served import Served, WireAgent

PATH = "/api/v1/agents/1:7/activity"


async def activity(served: Served) -> dict[str, Any]:
    reply = await served.ask("GET", PATH)
    assert reply.status == 200, reply.body
    its: dict[str, Any] = reply.json
    return its


async def end(agent: WireAgent, job: str, **result: Any) -> None:
    assert (await agent.post("accept", {"accepted": [job]})).json == {"verdicts": ["START"]}
    assert (await agent.post("result", {"results": [{"id": job, **result}]})).json == {"receipts": ["OK"]}


async def test_what_is_assigned_is_counted_from_queue_to_end(served: Served, agent: WireAgent) -> None:
    for number in range(3):
        await served.submit(target="1:7", id=f"j{number}", cmd="execute", args={"cmd": "x"})
    assert (await activity(served))["assignments"] == {"queued": 3, "sent": 0, "accepted": 0, "tasks": []}
    await agent.poll(2)
    await agent.post("accept", {"accepted": ["j0"]})
    assert (await activity(served))["assignments"] == {"queued": 1, "sent": 1, "accepted": 1, "tasks": ["j0"]}
    await agent.post("result", {"results": [{"id": "j0", "state": "OK"}]})
    its = await activity(served)
    assert its["assignments"] == {"queued": 1, "sent": 1, "accepted": 0, "tasks": []}
    assert its["processed"] == {"ERROR": 0, "KILLED": 0, "OK": 1, "TIMEOUT": 0}


async def test_the_last_twenty_failures_are_shown_with_their_reasons(served: Served, agent: WireAgent) -> None:
    for number in range(23):
        await served.submit(target="1:7", id=f"j{number}")
    await agent.poll()
    for number in range(22):
        await end(agent, f"j{number}", state="ERROR", code="SPAWN_FAILED", reason=f"reason {number}")
    await end(agent, "j22", state="OK")
    its = await activity(served)
    assert [one["job"] for one in its["failures"]] == [f"j{number}" for number in range(21, 1, -1)]
    first = its["failures"][0]
    assert (first["state"], first["code"], first["reason"]) == ("ERROR", "SPAWN_FAILED", "reason 21")
    assert (its["processed"]["ERROR"], its["processed"]["OK"]) == (22, 1)
    await served.seeded.redis.call("UNLINK", f"{keys.prefix('acme')}task:j21@1:7")
    gone = (await activity(served))["failures"][0]
    assert (gone["task"], gone["job"], gone["code"]) == ("j21", None, None)


async def test_changes_of_state_are_kept(served: Served, agent: WireAgent) -> None:
    assert [one["state"] for one in (await activity(served))["states"]] == ["online"]
    await served.seeded.redis.call("ZADD", keys.SEEN_ONLINE, 1, "1:7")
    await served.seeded.agents.review_presence()
    await agent.poll(0)
    its = await activity(served)
    assert [one["state"] for one in its["states"]] == ["online", "overdue", "online"]
    assert its["states"][0]["at"] >= its["states"][1]["at"]


async def test_what_an_agent_failed_at_itself_is_counted_and_in_its_log(served: Served, agent: WireAgent) -> None:
    domain, name = OWN_FAILURES
    group = {"task": "", "domain": domain, "name": name, "messages": [[CRITICAL, 1, 0, "Traceback"], [5, 2, 0, "x"]]}
    body = {"boot": "0" * 32, "seq": 1, "groups": [group, {"task": "", "domain": "x", "messages": [[9, 3, 0, "y"]]}]}
    assert (await agent.post("log", body)).status == 200
    assert (await activity(served))["exceptions"] == 1
    assert await served.seeded.redis.call("XLEN", keys.log_stream(None, domain, name)) == 1


async def test_damaged_notes_are_left_out(served: Served, agent: WireAgent) -> None:
    key = keys.agent(agent.agent)
    await served.seeded.redis.call("LPUSH", f"{key}:failures", "x", b"\xff \xff \xff", "1 ERROR")
    await served.seeded.redis.call("LPUSH", f"{key}:states", "x y", "")
    await served.seeded.redis.call("HSET", key, "n:OK", "x", "exceptions", b"\xff")
    await served.seeded.redis.call("SET", f"{key}:running", "x")
    its = await activity(served)
    assert (its["failures"], len(its["states"]), its["processed"]["OK"], its["exceptions"]) == ([], 1, 0, 0)
    await served.submit(target="1:7", id="j")
    await agent.poll()
    await end(agent, "j", state="ERROR")
    assert (await served.ask("GET", "/api/v1/jobs/j")).json["state"] == "ERROR"


async def test_the_limits_of_an_agent_are_told(served: Served, agent: WireAgent) -> None:
    assert (await activity(served))["limits"] == {"queued": 10_000, "messages": 200_000, "messages_s": 10.0}
    assert agent.agent.nid == 7


async def test_an_agents_assignments_are_listed_by_how_far_they_are(served: Served, agent: WireAgent) -> None:
    for job in ("run1", "run2", "sent", "wait1", "wait2", "over"):
        assert (await served.submit(id=job, target="1:7", cmd="execute", args={"cmd": "x"})).status == 202
    await served.ask("DELETE", "/api/v1/jobs/over")
    assert [one["id"] for one in await agent.poll(3)] == ["run1", "run2", "sent"]
    await agent.post("accept", {"accepted": ["run1", "run2"]})

    async def listed(query: str = "") -> list[tuple[str, str]]:
        reply = await served.ask("GET", f"/api/v1/agents/1:7/tasks{query}")
        assert (reply.status, reply.json["next"]) == (200, None)
        return [(one["job"]["id"], one["task"]["state"]) for one in reply.json["items"]]

    running, sent = [("run1", "RUNNING"), ("run2", "RUNNING")], [("sent", "SENT")]
    queued = [("wait1", "QUEUED"), ("wait2", "QUEUED")]
    assert await listed() == await listed("?state=open") == running + sent + queued
    assert [await listed(f"?state={one}") for one in ("running", "sent", "queued")] == [running, sent, queued]
    for limit in (1, 2, 3):
        seen, cursor = [], ""
        while True:
            page = (await served.ask("GET", f"/api/v1/agents/1:7/tasks?limit={limit}{cursor}")).json
            seen += [one["job"]["id"] for one in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert seen == ["run1", "run2", "sent", "wait1", "wait2"]
    for wrong in ("state=done", "cursor=x", "cursor=-1", "limit=0"):
        assert (await served.ask("GET", f"/api/v1/agents/1:7/tasks?{wrong}")).status == 400
