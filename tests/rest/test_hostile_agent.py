"""An agent with a good key and bad intentions, or a broken clock (RELIABILITY A2, A7, A8)."""

from typing import Any

import pytest

from deployer.model import limits
from deployer.protocol.ids import AgentId
from support.served import Reply, Served, WireAgent

BOOT = "0" * 32
YEAR_3000 = 32_503_680_000_000


def batch(seq: int, *messages: list[Any], task: str = "", boot: str = BOOT) -> dict[str, Any]:
    return {
        "boot": boot,
        "seq": seq,
        "groups": [{"task": task, "domain": "d", "name": "n", "messages": list(messages)}],
    }


async def shown(served: Served, job: str) -> dict[str, Any]:
    (task,) = (await served.ask("GET", f"/api/v1/jobs/{job}/tasks")).json["items"]
    found: dict[str, Any] = task
    return found


async def finish(agent: WireAgent, **result: Any) -> str:
    reply = await agent.post("result", {"results": [{"state": "OK", **result}]})
    assert reply.status == 200, reply.body
    (receipt,) = reply.json["receipts"]
    return str(receipt)


async def other(served: Served) -> WireAgent:
    made = WireAgent(served, AgentId(1, 8))
    assert (await made.join(served.seeded.join_token.text)).status == 200
    assert (await made.open()).status == 200
    return made


async def test_results_of_jobs_that_were_never_given_out_change_nothing(served: Served, agent: WireAgent) -> None:
    await served.submit(id="theirs", target="1:8")
    neighbour = await other(served)
    await served.submit(id="next", target="1:8")
    assert await finish(agent, id="never") == "UNKNOWN"
    assert await finish(agent, id="next") == "UNKNOWN"
    assert (await served.ask("GET", "/api/v1/jobs/next")).json["state"] == "QUEUED"
    assert [one["id"] for one in await neighbour.poll()] == ["next"]


async def test_a_result_before_the_task_was_accepted_is_not_taken(served: Served, agent: WireAgent) -> None:
    await served.submit(id="early", target="1:7")
    assert await finish(agent, id="early") == "CONFLICT"
    assert [one["id"] for one in await agent.poll()] == ["early"]
    assert await finish(agent, id="early") == "CONFLICT"
    assert (await shown(served, "early"))["state"] == "SENT"
    await agent.run("early")
    assert (await shown(served, "early"))["state"] == "OK"


async def test_the_first_result_stays_whatever_is_sent_later(served: Served, agent: WireAgent) -> None:
    await served.submit(id="done", target="1:7")
    await agent.poll()
    await agent.run("done", data="first")
    assert await finish(agent, id="done", data="first") == "DUP"
    assert await finish(agent, id="done", data="second") == "CONFLICT"
    assert await finish(agent, id="done", state="ERROR") == "CONFLICT"
    task = await shown(served, "done")
    assert (task["state"], task["data"]) == ("OK", "first")


async def test_the_first_record_of_a_run_stays_whatever_is_sent_later(served: Served, agent: WireAgent) -> None:
    await served.submit(id="daemon", target="1:7")
    await agent.poll()
    assert (await agent.post("accept", {"accepted": ["daemon"]})).json == {"verdicts": ["START"]}
    for data, receipt in (("first", "OK"), ("first", "DUP"), ("second", "CONFLICT")):
        run = {"id": "daemon", "state": "ERROR", "run": 1, "data": data}
        assert (await agent.post("result", {"results": [], "runs": [run]})).json["run_receipts"] == [receipt]
    runs = (await served.ask("GET", "/api/v1/jobs/daemon/tasks/1:7/runs")).json["items"]
    assert [one["data"] for one in runs] == ["first"]


@pytest.mark.parametrize(
    "body",
    [
        batch(-1),
        batch(2**63),
        batch(1, [1, -1, 0, "x"]),
        batch(1, [1, 2**64, 0, "x"]),
        batch(1, [-1, 1, 0, "x"]),
        batch(1, [0, 1, 0, "x"]),
        batch(1, [31, 1, 0, "x"]),
        batch(1, [1, 1, -1, "x"]),
        batch(1, [1, 1, 10**15, "x"]),
        batch(1, [1, 1, 0, "x", 256]),
        batch(1, task="../../x"),
        batch(1, boot="x"),
        {"boot": BOOT, "seq": 1, "groups": [{"task": "", "messages": []}] * 1001},
    ],
)
async def test_messages_with_impossible_numbers_are_refused_whole(
    served: Served, agent: WireAgent, body: dict[str, Any]
) -> None:
    reply = await agent.post("log", body)
    assert (reply.status, reply.code) == (422, "invalid"), reply.body
    assert await served.seeded.redis.call("EXISTS", "log.d.n") == 0


@pytest.mark.parametrize("field", ["run", "starttime", "time", "missed"])
@pytest.mark.parametrize("number", [-1, 2**63, 10**30])
async def test_results_with_impossible_numbers_are_refused_whole(
    served: Served, agent: WireAgent, field: str, number: int
) -> None:
    await served.submit(id="j", target="1:7")
    await agent.poll()
    await agent.post("accept", {"accepted": ["j"]})
    reply = await agent.post("result", {"results": [{"id": "j", "state": "OK", field: number}]})
    assert reply.status in {400, 422}, reply.body
    assert (await shown(served, "j"))["state"] == "RUNNING"


async def test_numbers_that_go_back_are_taken_as_sent_again(served: Served, agent: WireAgent) -> None:
    for seq, acked in ((5, 5), (4, 5), (5, 5), (6, 6)):
        assert (await agent.post("log", batch(seq, [1, seq, 0, f"m{seq}"]))).json == {"acked": acked}
    assert await served.seeded.redis.call("XLEN", "log.d.n") == 2


async def test_a_clock_that_is_far_ahead_harms_only_what_it_stamps(served: Served, agent: WireAgent) -> None:
    await served.submit(id="j", target="1:7")
    await agent.poll()
    await agent.post("accept", {"accepted": ["j"]})
    assert (await agent.post("log", batch(1, [1, 1, YEAR_3000, "late"], task="j"))).status == 200
    assert await finish(agent, id="j", starttime=YEAR_3000, time=1) == "OK"
    await served.submit(id="k", target="1:7")
    assert [one["id"] for one in await agent.poll()] == ["k"]
    assert (await shown(served, "j"))["started"].startswith("3000-01-01T")
    log = await served.ask("GET", "/api/v1/jobs/j/log")
    assert [one["data"] for one in log.json["items"]] == ["late"]
    assert (await served.ask("GET", "/api/v1/agents/1:7")).json["state"] == "online"


async def test_an_agent_that_floods_us_is_asked_to_wait_and_no_other(served: Served, agent: WireAgent) -> None:
    neighbour = await other(served)
    refused = await _refused(agent)
    assert refused.code == "too_many"
    assert 1 <= int(refused.header("retry-after") or 0) <= limits.MESSAGES_S + 1
    assert (await neighbour.post("log", batch(1, [1, 1, 0, "x"]))).status == 200
    await served.submit(id="still", target="1:7")
    assert [one["id"] for one in await agent.poll()] == ["still"]


async def _refused(agent: WireAgent) -> Reply:
    for seq in range(1, 1000):
        reply = await agent.post("log", batch(seq, *([1, seq, 0, "x"] for _ in range(10_000))))
        if reply.status == 429:
            return reply
    raise AssertionError("everything is taken")


async def test_a_post_that_is_too_long_is_refused_before_it_is_read(served: Served, agent: WireAgent) -> None:
    reply = await agent.post("log", batch(1, [1, 1, 0, "x" * 5_000_000]))
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert (await agent.post("log", batch(1, [1, 1, 0, "x"]))).status == 200
