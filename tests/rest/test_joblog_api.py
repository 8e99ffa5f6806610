import json

from twisted.internet.defer import Deferred

from support.events import Events
from support.served import Served, WireAgent

BOOT = "b" * 32


async def _running(served: Served, agent: WireAgent, *jobs: str) -> None:
    for job in jobs:
        args = {"cmd": "x", "domain": "demo", "name": "echo"}
        assert (await served.submit(cmd="execute", args=args, target="1:7", id=job)).status == 202
    await agent.poll()
    await agent.post("accept", {"accepted": list(jobs)})


async def _say(agent: WireAgent, seq: int, **texts: list[str]) -> None:
    groups = [
        {
            "task": job,
            "domain": "demo",
            "name": "echo",
            "messages": [[1, seq * 10 + n, 1_763_859_723_456, text] for n, text in enumerate(lines)],
        }
        for job, lines in texts.items()
    ]
    reply = await agent.post("log", {"boot": BOOT, "seq": seq, "groups": groups})
    assert reply.json == {"acked": seq}


async def test_a_jobs_log_is_its_own_lines_oldest_first(served: Served, agent: WireAgent) -> None:
    await _running(served, agent, "a", "b")
    await _say(agent, 1, a=["one", "two"], b=["other"])
    await _say(agent, 2, b=["other"], a=["three"])
    page = (await served.ask("GET", "/api/v1/jobs/a/log")).json
    assert [item["data"] for item in page["items"]] == ["one", "two", "three"]
    assert page["items"][0] == {
        "agent": "1:7",
        "jobdomain": "demo",
        "jobname": "echo",
        "epoch": 1_763_859_723_456,
        "at": "2025-11-23T01:02:03.456Z",
        "level": 1,
        "id": 10,
        "data": "one",
        "category": None,
        "flags": [],
    }
    first = (await served.ask("GET", "/api/v1/jobs/a/log?limit=2")).json
    assert [item["data"] for item in first["items"]] == ["one", "two"]
    second = (await served.ask("GET", f"/api/v1/jobs/a/log?limit=2&cursor={first['next']}")).json
    assert ([item["data"] for item in second["items"]], second["next"]) == (["three"], None)


async def test_messages_have_their_category_and_flags(served: Served, agent: WireAgent) -> None:
    await _running(served, agent, "a")
    said = [
        [5, 2**32 + 7, 0, "plain"],
        [6, 1, 0, '{"cat": "disk"}'],
        [6, 2, 0, "{}"],
        [6, 3, 0, "no"],
        [1, 4, 0, "x", 3],
    ]
    groups = [{"task": "a", "domain": "demo", "name": "echo", "messages": said}]
    assert (await agent.post("log", {"boot": BOOT, "seq": 1, "groups": groups})).status == 200
    items = (await served.ask("GET", "/api/v1/jobs/a/log")).json["items"]
    assert [item["category"] for item in items] == ["unknown", "disk", "unknown", "unknown", None]
    assert [item["flags"] for item in items] == [[], [], [], [], ["cut", "unfinished"]]
    assert items[0]["id"] == 7


async def test_the_messages_lie_where_the_public_contract_says(served: Served, agent: WireAgent) -> None:
    await _running(served, agent, "a")
    await _say(agent, 1, a=["one"])
    entries = await served.seeded.redis.call("XRANGE", "log.demo.echo", "-", "+")
    assert json.loads(entries[0][1][1]) == [
        {"task": "a", "agent": "1:7", "level": 1, "id": 10, "epoch": 1_763_859_723_456, "data": "one", "seq": 10}
    ]


async def test_a_log_is_followed_to_the_end_of_its_job(served: Served, agent: WireAgent) -> None:
    await _running(served, agent, "a")
    await _say(agent, 1, a=["one"])
    events = Events()
    following = Deferred.fromCoroutine(served.stream("/api/v1/jobs/a/log", {}, events))
    await served.until(lambda: events.lines == ["one"])
    await _say(agent, 2, a=["two"])
    await served.until(lambda: events.lines == ["one", "two"])
    await _say(agent, 3, a=["three"])
    await agent.post("result", {"results": [{"id": "a", "state": "OK"}]})
    await following
    assert events.lines == ["one", "two", "three"]
    assert events.blocks[-1]["event"] == "end"
    assert json.loads(events.blocks[-1]["data"])["state"] == "OK"


async def test_following_goes_on_after_the_last_event_that_was_seen(served: Served, agent: WireAgent) -> None:
    await _running(served, agent, "a")
    await _say(agent, 1, a=["one", "two"])
    await _say(agent, 2, a=["three"])
    await agent.post("result", {"results": [{"id": "a", "state": "OK"}]})
    whole = Events()
    await served.stream("/api/v1/jobs/a/log", {}, whole)
    ids = [block["id"] for block in whole.blocks if "id" in block]
    for seen in range(3):
        events = Events()
        await served.stream("/api/v1/jobs/a/log", {"Last-Event-ID": ids[seen]}, events)
        assert events.lines == ["one", "two", "three"][seen + 1 :]


async def test_a_place_that_is_none_is_malformed(served: Served, agent: WireAgent) -> None:
    await _running(served, agent, "a")
    for place in ("x", "1-1", "1-1.x", "99999999999999999999-1.1", "1.1-1"):
        assert (await served.ask("GET", "/api/v1/jobs/a/log", headers={"Last-Event-ID": place})).status == 400


async def test_who_stops_following_leaves_nothing_behind(served: Served, agent: WireAgent) -> None:
    await _running(served, agent, "a")
    reader = served.begin("/api/v1/jobs/a/log")
    await served.until(lambda: len(served.hub) == 2)
    reader.close()
    await served.until(lambda: len(served.hub) == 0)
