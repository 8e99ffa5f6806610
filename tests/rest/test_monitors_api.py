"""Monitors: consumption of chosen processes in one call, and thresholds that are told of once."""

from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred, gatherResults

from deployer.dispatch.watch import Watch
from deployer.model import limits
from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.stores import keys
from deployer.stores.monitors import Monitors
from support.livelists import listing, live
from support.seeded import COMPANY, NOW
from support.served import Reply, Served, WireAgent

WEB = [{"domain": "web"}]


async def _make(served: Served, *thresholds: dict[str, Any], processes: Any = WEB, **more: Any) -> dict[str, Any]:
    body = {"name": "web servers", "agent": "1:7", "processes": processes, "thresholds": list(thresholds)}
    reply = await served.ask("POST", "/api/v1/monitors", json=body, **more)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json
    return made


async def _states(served: Served, made: dict[str, Any]) -> list[str]:
    return [one["state"] for one in (await served.ask("GET", made["href"])).json["thresholds"]]


async def _told(served: Served, name: str = "web%20servers") -> list[dict[str, Any]]:
    entries = await served.seeded.redis.call("XRANGE", f"log.monitor.{name}", "-", "+")
    return [message for _, fields in entries for message in msgspec.json.decode(fields[1])]


async def _events(served: Served) -> list[str]:
    entries = await served.seeded.redis.call("XRANGE", f"{keys.prefix(COMPANY)}events", "-", "+")
    kinds = [fields[1].decode() for _, fields in entries]
    return [kind for kind in kinds if kind.startswith("monitor.")]


async def test_consumption_of_chosen_processes_is_seen_in_one_call(served: Served, agent: WireAgent) -> None:
    made = await _make(served, processes=[{"domain": "web", "name": "nginx"}, {"job": "db"}, {"id": "x@1:7.2"}])
    assert made["processes"][2] == {
        "id": "x@1:7.2",
        "href": "/api/v1/processes/x@1:7.2",
        **dict.fromkeys(("job", "domain", "name")),
    }
    path = f"{made['href']}/consumption"
    assert made["consumption"] == {"href": path}
    empty = (await served.ask("GET", path)).json
    assert (empty["heard"], empty["total"], empty["processes"]) == (None, {"processes": 0}, [])
    listed = listing(
        live("a", values={"processes": 2, "rss": 100, "cpu": 1.5}),
        live("b", name="other", values={"rss": 7}),
        live("db", domain="d", values={"processes": 1, "rss": 11}),
        live("x", run=1, domain="d", values={"rss": 7}),
        live("x", run=2, domain="d"),
    )
    assert (await agent.post("processes", listed)).status == 200
    seen = (await served.ask("GET", path)).json
    assert [one["id"] for one in seen["processes"]] == ["a@1:7.1", "db@1:7.1", "x@1:7.2"]
    assert seen["total"] == {"processes": 4, "rss": 111, "cpu": 1.5}
    assert (seen["agent"]["href"], seen["thresholds"]) == ("/api/v1/agents/1:7", [])
    assert seen["heard"] > "2026"


async def test_a_threshold_is_told_of_once_for_each_breach(served: Served, agent: WireAgent) -> None:
    made = await _make(served, {"metric": "rss", "above": 100}, {"metric": "processes", "below": 1})
    assert await _states(served, made) == ["ok", "ok"]
    for rss, states, told in ((50, ["ok", "ok"], 0), (101, ["breached", "ok"], 1), (200, ["breached", "ok"], 1)):
        assert (await agent.post("processes", listing(live("a", values={"rss": rss, "processes": 1})))).status == 200
        await served.core.watch.round()
        assert await _states(served, made) == states
        assert len(await _told(served)) == told
    (message,) = await _told(served)
    assert (message["level"], message["agent"], message["task"]) == (9, "1:7", "")
    assert message["data"] == "rss of monitor web servers on agent 1:7 is 101: above 100 for 0 s"
    assert await _events(served) == ["monitor.breached"]
    await agent.post("processes", listing(live("a", values={"rss": 100, "processes": 1})))
    assert await _states(served, made) == ["ok", "ok"]
    assert await _events(served) == ["monitor.breached", "monitor.cleared"]
    await agent.post("processes", listing())
    await served.core.watch.round()
    assert await _states(served, made) == ["ok", "breached"]
    assert [one["data"].partition(":")[0] for one in await _told(served)] == [
        "rss of monitor web servers on agent 1",
        "processes of monitor web servers on agent 1",
    ]


async def test_of_many_masters_one_tells(served: Served, agent: WireAgent) -> None:
    await _make(served, {"metric": "processes", "below": 1}, {"metric": "cpu", "above": 50})
    redis = served.seeded.redis
    await agent.post("processes", listing())
    watches = [Watch(Monitors(redis), COMPANY, lambda: NOW) for _ in range(8)]
    await gatherResults([Deferred.fromCoroutine(one.round()) for one in watches for _ in range(3)])
    assert len(await _told(served)) == sum(one.told for one in watches) == 1
    assert await _events(served) == ["monitor.breached"]


async def test_a_threshold_is_told_of_only_after_its_time(served: Served, agent: WireAgent) -> None:
    made = await _make(served, {"metric": "processes", "below": 1, "for_s": 3600})
    for _ in range(2):
        await agent.post("processes", listing())
        await served.core.watch.round()
    assert await _states(served, made) == ["pending"]
    assert await _told(served) == []
    redis = served.seeded.redis
    ((member, due),) = await _scores(served)
    since = int(await redis.call("HGET", keys.monitor(COMPANY, made["id"]), "since:0"))
    assert int(due) == since + 3_600_000
    await redis.call("ZADD", keys.BREACHES, since, member)  # an hour later
    await served.core.watch.round()
    assert await _states(served, made) == ["breached"]
    assert len(await _told(served)) == 1
    assert await _scores(served) == []


async def _scores(served: Served) -> list[tuple[bytes, float]]:
    flat = await served.seeded.redis.call("ZRANGE", keys.BREACHES, 0, -1, "WITHSCORES")
    return [(member, float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]


async def test_nothing_is_told_of_an_agent_that_is_away_until_it_is_back(served: Served, agent: WireAgent) -> None:
    made = await _make(served, {"metric": "processes", "below": 1})
    await agent.post("processes", listing())
    await served.seeded.redis.call("HSET", keys.agent(agent.agent), "state", "offline")
    await served.core.watch.round()
    assert (await _states(served, made), await _told(served)) == (["pending"], [])
    await agent.post("processes", listing())
    await served.core.watch.round()
    assert (await _states(served, made), len(await _told(served))) == (["breached"], 1)


async def test_a_threshold_of_what_is_not_known_is_not_broken(served: Served, agent: WireAgent) -> None:
    made = await _make(served, {"metric": "rss", "below": 10**9}, {"metric": "processes", "above": 1})
    await agent.post("processes", listing(live("a"), live("b")))
    await served.core.watch.round()
    assert await _states(served, made) == ["ok", "breached"]


async def test_a_monitor_is_changed_only_as_it_was_read_and_begins_anew(served: Served, agent: WireAgent) -> None:
    made = await _make(served, {"metric": "processes", "below": 1})
    await agent.post("processes", listing())
    await served.core.watch.round()
    tag = (await served.ask("GET", made["href"])).header("etag")
    change = {"name": "other", "thresholds": [{"metric": "processes", "below": 2, "for_s": 0}]}
    changed = await served.ask("PATCH", made["href"], json=change, headers={"If-Match": str(tag)})
    assert (changed.status, changed.json["name"], changed.json["thresholds"][0]["state"]) == (200, "other", "ok")
    assert changed.json["processes"] == made["processes"]
    for method, body in (("PATCH", change), ("DELETE", None)):
        stale = await served.ask(method, made["href"], json=body, headers={"If-Match": str(tag)})
        assert (stale.status, stale.code) == (412, "changed")
    await agent.post("processes", listing())
    await served.core.watch.round()
    assert len(await _told(served, "other")) == 1
    assert (await served.ask("DELETE", made["href"])).json == {"id": made["id"]}
    for method in ("GET", "DELETE"):
        assert (await served.ask(method, made["href"])).status == 404
    assert await _scores(served) == []
    assert await served.seeded.redis.call("KEYS", f"{keys.prefix(COMPANY)}monitor*") == []


async def test_a_monitor_that_goes_between_a_breach_and_its_message_is_forgotten(
    served: Served, agent: WireAgent
) -> None:
    made = await _make(served, {"metric": "processes", "below": 1})
    await agent.post("processes", listing())
    await served.seeded.redis.call("DEL", keys.monitor(COMPANY, made["id"]))
    await served.seeded.redis.call("ZADD", keys.BREACHES, 1, "nonsense", 1, "a|b|c", 1, b"\xff|x|0")
    await served.core.watch.round()
    assert await _scores(served) == []
    assert await _told(served) == []


async def test_monitors_come_in_pages_and_by_agent(served: Served, agent: WireAgent) -> None:
    second = WireAgent(served, AgentId(1, 8))
    await second.join(served.seeded.join_token.text)
    made = [(await _make(served))["id"] for _ in range(5)]
    other = (await served.ask("POST", "/api/v1/monitors", json={"name": "n", "agent": "1:8", "processes": WEB})).json
    first = (await served.ask("GET", "/api/v1/monitors?limit=2")).json
    rest = (await served.ask("GET", f"/api/v1/monitors?limit=9&cursor={first['next']}")).json
    assert [one["id"] for one in first["items"] + rest["items"]] == [*made, other["id"]]
    of_agent = (await served.ask("GET", "/api/v1/monitors?agent=1:8")).json["items"]
    assert [one["id"] for one in of_agent] == [other["id"]]
    assert (await served.ask("GET", "/api/v1/monitors?agent=1:99")).json["items"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"agent": "1:99"}, "/agent"),
        ({"agent": "9999999999:1"}, "/agent"),
        ({"agent": "1"}, "/agent"),
        ({"name": ""}, "/name"),
        ({"name": "a\n"}, "/name"),
        ({"processes": []}, "/processes"),
        ({"processes": [{}]}, "/processes/0"),
        ({"processes": [{"id": "x"}]}, "/processes/0/id"),
        ({"processes": [*WEB, {"id": "x@1:8.1"}]}, "/processes/1/id"),
        ({"processes": WEB * 51}, "/processes"),
        ({"thresholds": [{"metric": "colour", "above": 1}]}, "/thresholds/0/metric"),
        ({"thresholds": [{"metric": "rss"}]}, "/thresholds/0"),
        ({"thresholds": [{"metric": "rss", "above": 1, "below": 1}]}, "/thresholds/0"),
        ({"thresholds": [{"metric": "rss", "above": -1}]}, "/thresholds/0/above"),
        ({"thresholds": [{"metric": "rss", "above": 1, "for_s": 86401}]}, "/thresholds/0/for_s"),
        ({"thresholds": [{"metric": "rss", "above": 1}] * 21}, "/thresholds"),
        ({"colour": "red"}, "/colour"),
    ],
)
async def test_what_is_no_monitor_is_refused(
    served: Served, agent: WireAgent, change: dict[str, Any], pointer: str
) -> None:
    body = {"name": "n", "agent": "1:7", "processes": WEB, **change}
    reply = await served.ask("POST", "/api/v1/monitors", json=body)
    assert (reply.status, reply.pointers) == (422, [pointer])
    assert (await served.ask("GET", "/api/v1/monitors")).json["items"] == []


async def test_an_agent_and_a_company_have_so_many_monitors_and_no_more(
    served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = WireAgent(served, AgentId(1, 8))
    await second.join(served.seeded.join_token.text)
    monkeypatch.setattr(limits, "MONITORS_PER_COMPANY", 3)
    monkeypatch.setattr(limits, "MONITORS_PER_AGENT", 2)

    async def make(agent: str) -> Reply:
        return await served.ask("POST", "/api/v1/monitors", json={"name": "n", "agent": agent, "processes": WEB})

    statuses = [(await make(agent)).status for agent in ("1:7", "1:7", "1:7", "1:8", "1:8")]
    assert statuses == [201, 201, 409, 201, 409]


async def test_monitors_of_agents_that_a_user_may_not_use_are_as_none(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    await served.ask("POST", "/api/v1/users", json={"name": "sam", "role": "operator", "agents": ["1:8"]})
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "t", "user": "sam"})).json["token"]
    assert (await served.ask("GET", "/api/v1/monitors", token=token)).json["items"] == []
    for method, path in (("GET", ""), ("GET", "/consumption"), ("DELETE", "")):
        assert (await served.ask(method, made["href"] + path, token=token)).status == 404
    body = {"name": "n", "agent": "1:7", "processes": WEB}
    refused = await served.ask("POST", "/api/v1/monitors", json=body, token=token)
    assert (refused.status, refused.pointers) == (422, ["/agent"])
    viewer = await served.token_of("eve", Role.VIEWER)
    assert (await served.ask("GET", made["href"], token=viewer)).status == 200
