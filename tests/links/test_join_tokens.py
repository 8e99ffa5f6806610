"""Join tokens that do not fit, and many who use one at once (RELIABILITY A1)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from deployer.protocol.ids import AgentId
from deployer.stores import keys
from support.served import Served, WireAgent

PIN = "ab" * 32


async def made(served: Served, **more: Any) -> Any:
    reply = await served.ask("POST", "/api/v1/join-tokens", json={"name": "n", **more})
    assert reply.status == 201, reply.json
    return reply.json


def fresh(served: Served, nid: int = 50) -> WireAgent:
    return WireAgent(served, AgentId(1, nid))


async def test_fifty_who_use_a_token_for_one_at_once_make_one_agent(served: Served) -> None:
    token = (await made(served))["token"]
    before = len(await served.seeded.agents.agents("acme", None, 100))
    agents = [fresh(served, 100 + number) for number in range(50)]
    replies = await gatherResults([Deferred.fromCoroutine(agent.join(token)) for agent in agents])
    assert sorted(reply.status for reply in replies) == [200] + [401] * 49
    assert len(await served.seeded.agents.agents("acme", None, 100)) == before + 1
    winner = agents[[reply.status for reply in replies].index(200)]
    assert (await winner.join(token)).status == 200
    assert (await fresh(served).join(token)).status == 401


async def test_fifty_who_want_one_number_make_one_agent(served: Served) -> None:
    token = (await made(served, uses=None))["token"]
    agents = [fresh(served) for _ in range(50)]
    replies = await gatherResults([Deferred.fromCoroutine(agent.join(token)) for agent in agents])
    assert sorted(reply.status for reply in replies) == [200] + [409] * 49


async def test_a_use_is_counted_for_who_joined_only(served: Served) -> None:
    token = await made(served, uses=2)
    assert (await fresh(served, 1).join(token["token"])).status == 409
    assert (await fresh(served).join(token["token"], gid=2)).status == 401
    (shown,) = [
        one for one in (await served.ask("GET", "/api/v1/join-tokens")).json["items"] if one["id"] == token["id"]
    ]
    assert shown["uses"] == 2


async def test_a_token_that_does_not_fit_makes_no_agent(served: Served) -> None:
    token = await made(served, uses=None, expires=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    text = token["token"]
    flipped = text[:-1] + ("0" if text[-1] != "0" else "1")
    wrong = ["", text[:-1], text[:40], text[1:], text + "0", text + "_", f"{text}_{PIN[1:]}", f" {text}", flipped]
    wrong += [text.upper(), text.replace("dpj", "dpl"), text + "\n", "\x00", "dpj_" + "0" * 16 + "_" + "0" * 64]
    for one in wrong:
        assert (await fresh(served).join(one)).status == 401, one
    assert (await fresh(served).join("x" * 401)).status == 422
    await served.seeded.redis.call("HSET", keys.join_token(token["id"]), "expires", 1)
    assert (await fresh(served).join(text)).status == 401
    assert (await served.ask("DELETE", token["href"])).status == 200
    assert (await fresh(served).join(text)).status == 401
    assert (await served.ask("GET", "/api/v1/agents/1:50")).status == 404


async def test_the_fingerprint_behind_a_token_changes_nothing_for_the_master(served: Served) -> None:
    token = (await made(served))["token"]
    assert (await fresh(served).join(f"{token}_{PIN}")).status == 200
    assert (await served.ask("GET", "/api/v1/user", token=f"{served.seeded.admin.text}_{PIN}")).status == 401


async def test_a_join_token_is_no_token_of_a_user(served: Served) -> None:
    token = (await made(served))["token"]
    assert (await served.ask("GET", "/api/v1/user", token=token)).status == 401
