"""Lists: filters, order, and what they refer to (CONVENTIONS 3.3, seed 002)."""

from typing import Any

import msgspec
import pytest

from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.rest import fleet
from support.hosts import HOST
from support.served import Served, WireAgent


async def jobs(served: Served, query: str = "", **more: Any) -> list[str]:
    reply = await served.ask("GET", f"/api/v1/jobs?{query}", **more)
    assert reply.status == 200, reply.body
    return [one["id"] for one in reply.json["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("user=olga", ["c"]),
        ("user=nobody", []),
        ("cmd=execute", ["b"]),
        ("cmd=ping&target=1:7", ["c", "a"]),
        ("target=1:1", ["d"]),
        ("state=KILLED", ["a"]),
        ("state=QUEUED&cmd=ping", ["d", "c"]),
        ("sort=created", ["a", "b", "c", "d"]),
        ("sort=-created", ["d", "c", "b", "a"]),
        ("from=2000-01-01T00:00:00Z", ["d", "c", "b", "a"]),
        ("from=2300-01-01T00:00:00%2B01:00", []),
        ("to=2000-01-01T00:00:00Z", []),
        ("to=9999-12-31T23:59:59Z&sort=created", ["a", "b", "c", "d"]),
    ],
)
async def test_jobs_are_found_by_what_they_are(served: Served, agent: WireAgent, query: str, found: list[str]) -> None:
    await served.submit(target="1:7", id="a")
    await served.submit(target="1:7", id="b", cmd="execute", args={"cmd": "x"})
    olga = await served.token_of("olga", Role.OPERATOR)
    await served.ask("POST", "/api/v1/jobs", json={"cmd": "ping", "target": "1:7", "id": "c"}, token=olga)
    await served.submit(target="1:1", id="d")
    await served.ask("DELETE", "/api/v1/jobs/a")
    assert await jobs(served, query) == found
    assert agent.agent.nid == 7


@pytest.mark.parametrize("sort", ["created", "-created"])
async def test_pages_hold_every_job_once_in_either_order(served: Served, agent: WireAgent, sort: str) -> None:
    ids = [f"j{number}" for number in range(7)]
    for one in ids:
        await served.submit(target="1:7", id=one)
    middle = (await served.ask("GET", "/api/v1/jobs/j3")).json["created"]
    seen: list[str] = []
    path = f"/api/v1/jobs?limit=2&sort={sort}"
    while path:
        page = (await served.ask("GET", path)).json
        seen += [one["id"] for one in page["items"]]
        path = page["next"] and f"/api/v1/jobs?limit=2&sort={sort}&cursor={page['next']}"
    assert seen == (ids if sort == "created" else ids[::-1])
    later = await jobs(served, f"from={middle}&sort=created")
    earlier = await jobs(served, f"to={middle}&sort=created")
    assert earlier + later == ids
    assert "j3" in later
    assert agent.agent.nid == 7


@pytest.mark.parametrize(
    "query",
    ["sort=name", "sort=", "from=x", "from=1969-12-31T00:00:00Z", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"],
)
async def test_an_order_or_time_that_is_none_is_malformed(served: Served, query: str) -> None:
    assert (await served.ask("GET", f"/api/v1/jobs?{query}")).status == 400


async def test_a_reference_is_replaced_by_what_it_refers_to(served: Served, agent: WireAgent) -> None:
    await served.submit(target="1:7", id="a")
    plain = (await served.ask("GET", "/api/v1/jobs/a")).json
    assert plain["tasks"]["counts"]["QUEUED"] == 1
    whole = (await served.ask("GET", "/api/v1/jobs/a?expand=tasks")).json
    assert whole["tasks"]["counts"] == plain["tasks"]["counts"]
    assert [one["state"] for one in whole["tasks"]["items"]] == ["QUEUED"]
    assert {**whole, "tasks": plain["tasks"]} == plain
    facts = msgspec.to_builtins(HOST)
    assert (await agent.post("facts", facts)).status == 200
    listed = (await served.ask("GET", "/api/v1/agents?expand=company,host")).json["items"]
    assert [one["company"]["name"] for one in listed] == ["default", "default"]
    assert listed[1]["host"]["name"] == facts["hostname"]
    assert listed[0]["host"]["cpu"] is None  # it has not told yet


async def test_nothing_is_expanded_that_the_caller_may_not_see(served: Served) -> None:
    viewer = await served.token_of("eve", Role.VIEWER)
    (shown,) = (await served.ask("GET", "/api/v1/agents?expand=users", token=viewer)).json["items"]
    assert set(shown["users"]) == {"href"}
    (shown,) = (await served.ask("GET", "/api/v1/agents?expand=users")).json["items"]
    assert {one["name"] for one in shown["users"]["items"]} == {"admin", "eve"}


@pytest.mark.parametrize(
    "query", ["expand=", "expand=nope", "expand=tasks,nope", "expand=tasks&expand=tasks", "expand=id"]
)
async def test_what_is_no_reference_cannot_be_expanded(served: Served, query: str) -> None:
    reply = await served.ask("GET", f"/api/v1/jobs?{query}")
    assert (reply.status, reply.code) == (400, "malformed")
    assert (await served.ask("GET", "/api/v1/audit?expand=user")).status == 400
    assert (await served.ask("DELETE", "/api/v1/jobs/x?expand=tasks")).status == 400


async def _agents(served: Served, query: str, noun: str = "agents") -> list[str]:
    reply = await served.ask("GET", f"/api/v1/{noun}?{query}")
    assert reply.status == 200, reply.body
    return [one["id"] for one in reply.json["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=online", ["1:7"]),
        ("state=offline", ["1:1", "1:8"]),
        ("state=revoked", []),
        ("role=web", ["1:7", "1:8"]),
        ("role=db", ["1:8"]),
        ("labels=owner%3Deve", ["1:7"]),
        ("labels=owner", ["1:7", "1:8"]),
        ("labels=owner%3D%26,stage", ["1:8"]),
        ("labels=owner%3D", []),
        ("rack=r1&zone=z", ["1:7"]),
        ("rack=r1", ["1:7", "1:8"]),
        ("datacenter=d", []),
        ("region=eu&role=db", ["1:8"]),
        ("name=h", ["1:7", "1:8"]),
        ("version=none", []),
        ("target=*", ["1:1", "1:7", "1:8"]),
        ("target=role%3Ddb or 1:7", ["1:7", "1:8"]),
        ("target=state%3Donline and rack%3Dr1", ["1:7"]),
        ("target=not label.owner%3D*", ["1:1"]),
        ("target=memory>8 and os%3D*", ["1:7"]),
        ("target=os%3D*&role=db", []),
        ("target=role%3D*&sort=-last_seen", ["1:7", "1:8"]),
        ("sort=last_seen", ["1:1", "1:8", "1:7"]),
        ("sort=-last_seen&role=web", ["1:7", "1:8"]),
    ],
)
async def test_agents_and_hosts_are_found_by_what_is_said_of_them(
    served: Served, agent: WireAgent, query: str, found: list[str]
) -> None:
    other = WireAgent(served, AgentId(1, 8))
    assert (await other.join(served.seeded.join_token.text)).status == 200
    first = {"roles": ["web"], "labels": {"owner": "eve"}, "rack": "r1", "zone": "z"}
    second = {"roles": ["web", "db"], "labels": {"owner": "&", "stage": "x"}, "rack": "r1", "region": "eu"}
    for name, traits in (("1:7", first), ("1:8", second)):
        assert (await served.ask("PATCH", f"/api/v1/agents/{name}", json=traits)).status == 200
    facts = msgspec.to_builtins(HOST) | {"hostname": "h"}
    assert (await agent.post("facts", facts)).status == 200
    for noun in ("agents", "hosts"):
        assert await _agents(served, query, noun) == found
    assert agent.agent.nid == 7


@pytest.mark.parametrize("sort", ["id", "name", "-name", "last_seen", "-last_seen"])
async def test_pages_hold_every_agent_once_in_any_order(served: Served, agent: WireAgent, sort: str) -> None:
    for nid in range(20, 26):
        made = WireAgent(served, AgentId(1, nid))
        assert (await made.join(served.seeded.join_token.text, hostname=f"h{nid % 3}")).status == 200
    seen, cursor = [], ""
    while True:
        page = (await served.ask("GET", f"/api/v1/agents?sort={sort}&limit=3{cursor}")).json
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == sorted(["1:1", str(agent.agent), *(f"1:{nid}" for nid in range(20, 26))])
    assert seen == await _agents(served, f"sort={sort}")


@pytest.mark.parametrize(
    "query",
    [
        *("target=", "target=nid", "target=colour%3Dred"),
        *("state=dead", "sort=colour", "labels=", "labels=a%3Db,", "labels=-a", "rack=a%20b"),
        *("cursor=a~1.1", "sort=name&cursor=1.1", "sort=name&cursor=a~1.0", "sort=name&cursor=*~1.1"),
    ],
)
async def test_a_query_of_agents_that_is_none_is_malformed(served: Served, query: str) -> None:
    for noun in ("agents", "hosts"):
        assert (await served.ask("GET", f"/api/v1/{noun}?{query}")).status == 400


async def test_more_agents_than_can_be_sorted_are_refused(
    served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "SORTED", 1)
    assert (await served.ask("GET", "/api/v1/agents?sort=name")).status == 400
    assert await _agents(served, "sort=name&state=online") == [str(agent.agent)]
