"""The waiting room: agents without a token ask, somebody decides."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.endpoints import clientFromString

from deployer.model import limits
from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.stores import keys
from deployer.stores.waitingroom import fingerprint_of
from support.seeded import COMPANY, Seeded
from support.served import Reply, Served, WireAgent

PATH = "/api/v1/agent-requests"


@pytest_twisted.async_yield_fixture
async def room(seeded: Seeded, redis_socket: Path) -> AsyncIterator[Served]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real reactor)

    master = Served(seeded, reactor, clientFromString(reactor, f"unix:{redis_socket}"))
    master.waiting_room = True
    await master.start()
    yield master
    await master.stop()


async def ask(served: Served, agent: WireAgent, **more: Any) -> Reply:
    return await agent.join("", **{"system": "Linux", "version": "1", **more})


async def test_nobody_waits_where_that_is_not_allowed(served: Served) -> None:
    reply = await ask(served, WireAgent(served, AgentId(1, 5)))
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert (await served.ask("GET", PATH)).json == {"items": [], "next": None}


async def test_an_agent_that_is_accepted_joins_with_its_next_request(room: Served) -> None:
    agent = WireAgent(room, AgentId(1, 5))
    for _ in range(2):
        reply = await ask(room, agent)
        assert (reply.status, reply.code) == (403, "waiting")
    id_ = fingerprint_of(agent.public)
    assert id_ in reply.json["detail"]
    (shown,) = (await room.ask("GET", PATH)).json["items"]
    assert shown["id"] == id_
    assert (shown["state"], shown["hostname"], shown["system"], shown["address"]) == (
        "waiting",
        "h",
        "Linux",
        "127.0.0.1",
    )
    assert (shown["gid"], shown["nid"]) == (1, 5)
    assert (await agent.open()).status == 401
    accepted = await room.ask("POST", f"{PATH}/{id_}/accept", json={})
    assert accepted.json == {"id": "1:5", "href": "/api/v1/agents/1:5"}
    assert (await ask(room, agent)).json["company"] == COMPANY
    assert (await agent.open()).status == 200
    assert (await room.ask("GET", PATH)).json["items"] == []
    assert (await room.ask("POST", f"{PATH}/{id_}/accept", json={})).status == 404


async def test_who_accepts_can_give_another_number(room: Served) -> None:
    agent = WireAgent(room, AgentId(1, 5))
    await ask(room, agent, gid=None, nid=None)
    path = f"{PATH}/{fingerprint_of(agent.public)}/accept"
    assert (await room.ask("POST", path, json={})).pointers == ["/gid"]
    assert (await room.ask("POST", path, json={"gid": 2})).pointers == ["/gid"]
    assert (await room.ask("POST", path, json={"gid": 1, "nid": 1})).status == 409
    assert (await room.ask("POST", path, json={"gid": 1, "nid": 0})).status == 422
    assert (await room.ask("POST", path, json={"gid": 1})).json["id"] == "1:2"


async def test_a_rejected_agent_is_told_so_and_can_still_be_accepted(room: Served) -> None:
    agent = WireAgent(room, AgentId(1, 5))
    await ask(room, agent)
    id_ = fingerprint_of(agent.public)
    assert (await room.ask("POST", f"{PATH}/{id_}/reject")).json == {"id": id_}
    reply = await ask(room, agent)
    assert (reply.status, reply.code) == (403, "forbidden")
    assert (await room.ask("GET", PATH)).json["items"][0]["state"] == "rejected"
    assert (await room.ask("POST", f"{PATH}/{id_}/accept", json={})).status == 200
    assert (await ask(room, agent)).status == 200


@pytest.mark.parametrize("id_", ["x", "0" * 64, "a" * 65, "..", "%00", "0" * 63 + "*"])
async def test_what_nobody_asked_for_cannot_be_decided(room: Served, id_: str) -> None:
    for what in ("accept", "reject"):
        more = {"json": {}} if what == "accept" else {}
        assert (await room.ask("POST", f"{PATH}/{id_}/{what}", **more)).status == 404


async def test_another_company_sees_and_decides_nothing(room: Served) -> None:
    agent = WireAgent(room, AgentId(1, 5))
    await ask(room, agent)
    other = (await room.ask("POST", "/api/v1/companies", json={"name": "other"})).json["id"]
    token = await room.token_of("olga", Role.OWNER, other)
    assert (await room.ask("GET", PATH, token=token)).json["items"] == []
    for what in ("accept", "reject"):
        more = {"json": {}} if what == "accept" else {}
        path = f"{PATH}/{fingerprint_of(agent.public)}/{what}"
        assert (await room.ask("POST", path, token=token, **more)).status == 404


async def test_the_room_has_so_many_places(room: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WAITING_PER_COMPANY", 100)
    room_key = keys.waiting(COMPANY)
    now = 4_000_000_000_000
    for number in range(limits.WAITING_PER_COMPANY):
        await room.seeded.redis.call("ZADD", room_key, now, f"{number:064x}")
    reply = await ask(room, WireAgent(room, AgentId(1, 5)))
    assert (reply.status, reply.code) == (409, "conflict")
    await room.seeded.redis.call("ZADD", room_key, 1, "0" * 64)
    assert (await ask(room, WireAgent(room, AgentId(1, 6)))).code == "waiting"


async def test_an_address_asks_so_often(room: Served) -> None:
    codes = [(await ask(room, WireAgent(room, AgentId(1, 5)))).code for _ in range(limits.WAITING_TRIES + 1)]
    assert set(codes[:-1]) == {"waiting"}
    assert codes[-1] == "too_many"


@pytest.mark.parametrize("wrong", [{"system": "x" * 201}, {"version": "é"}, {"hostname": ""}, {"public_key": "AAAA"}])
async def test_a_request_that_does_not_fit_is_not_kept(room: Served, wrong: dict[str, str]) -> None:
    assert (await ask(room, WireAgent(room, AgentId(1, 5)), **wrong)).status == 422
    assert (await room.ask("GET", PATH)).json["items"] == []


async def test_a_damaged_request_harms_no_other(room: Served) -> None:
    agent = WireAgent(room, AgentId(1, 5))
    await ask(room, agent)
    for number, damage in enumerate((("HSET", "first", "x"), ("HSET", "hostname", b"\xff"))):
        key = keys.waiting_agent(COMPANY, f"{number:064x}")
        await room.seeded.redis.call(damage[0], key, *damage[1:])
        await room.seeded.redis.call("ZADD", keys.waiting(COMPANY), 4_000_000_000_000, f"{number:064x}")
    assert len((await room.ask("GET", PATH)).json["items"]) == 1


async def test_a_revoked_agent_is_out_for_good(served: Served, agent: WireAgent) -> None:
    assert (await served.ask("DELETE", "/api/v1/agents/1:7")).json == {"id": "1:7", "state": "revoked"}
    assert (await served.ask("GET", "/api/v1/agents/1:7")).json["state"] == "revoked"
    await served.until(lambda: True)
    for reply in (
        await agent.open(),
        await agent.join(served.seeded.join_token.text),
        await agent.join(""),
    ):
        assert (reply.status, reply.code) == (403, "revoked")
    polled = await served.ask("GET", "/1/7/cmd?n=0", token=agent.session)
    assert polled.status in {401, 409}
    assert (await served.ask("GET", "/api/v1/agents/1:7")).json["state"] == "revoked"
    assert (await served.ask("DELETE", "/api/v1/agents/1:7")).status == 200
    assert (await served.ask("DELETE", "/api/v1/agents/1:99")).status == 404
    stranger = WireAgent(served, agent.agent)
    assert (await stranger.open()).status == 401


async def test_a_revoked_agents_poll_ends_at_once(served: Served, agent: WireAgent) -> None:
    from twisted.internet.defer import Deferred  # noqa: PLC0415 (only here)

    path = f"/1/{agent.agent.nid}/cmd?n=1"
    polling = Deferred.fromCoroutine(served.ask("GET", path, token=agent.session))
    await served.until(lambda: len(served.hub) == 1)
    await served.ask("DELETE", "/api/v1/agents/1:7")
    assert (await polling).status == 409
