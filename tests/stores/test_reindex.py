"""Indexes of what is due that were damaged begin anew, with all that belongs in them."""

import pytest

from deployer.stores import keys
from deployer.stores.plans import Plans
from support.planned import submit, until
from support.seeded import COMPANY
from support.served import Served, WireAgent

EVERY = {"name": "often", "every_s": 3600, "job": {"cmd": "ping", "target": "1:7"}}
HOOK = {"name": "hook", "url": "https://example.com/"}


@pytest.mark.parametrize("damage", [("DEL",), ("SET", "x")])
async def test_what_was_forgotten_is_looked_at_again(served: Served, agent: WireAgent, damage: tuple[str, ...]) -> None:
    redis = served.seeded.redis
    await submit(served, "first", target="1:7")
    for number in range(3):
        await submit(served, f"c{number}", target="1:7", depends_on=["first"])
    schedule = (await served.ask("POST", "/api/v1/schedules", json=EVERY)).json["id"]
    hook = (await served.ask("POST", "/api/v1/webhooks", json=HOOK)).json["id"]
    for key in (keys.PLANS, keys.SCHEDULES, keys.FIRINGS, keys.WEBHOOKS):
        await redis.call("DEL", key)
        await redis.call(damage[0], key, *damage[1:])
    plans = Plans(redis)
    assert await plans.reindex(COMPANY, 0) == 0
    assert await redis.call("ZRANGE", keys.SCHEDULES, 0, -1) == [f"{keys.prefix(COMPANY)}|{schedule}".encode()]
    assert await redis.call("ZRANGE", keys.WEBHOOKS, 0, -1) == [f"{keys.prefix(COMPANY)}|{hook}".encode()]
    assert len(await agent.poll(1, wait_s=0)) == 1
    await agent.run("first")
    for number in range(3):
        await until(served, f"c{number}", QUEUED=1)


async def test_what_is_paused_or_has_ended_is_not_due(served: Served, agent: WireAgent) -> None:
    redis = served.seeded.redis
    await submit(served, "done", target="1:7", requires={"ram": 1})
    await until(served, "done", QUEUED=1)
    path = (await served.ask("POST", "/api/v1/webhooks", json=HOOK)).json["href"]
    headers = {"If-Match": "*"}
    assert (await served.ask("PATCH", path, json={"paused": True}, headers=headers)).status == 200
    assert (await served.ask("POST", "/api/v1/schedules", json={**EVERY, "paused": True})).status == 201
    await Plans(redis).reindex(COMPANY, 0)
    for key in (keys.PLANS, keys.SCHEDULES, keys.FIRINGS, keys.WEBHOOKS):
        assert await redis.call("ZCARD", key) == 0


async def test_a_webhook_that_nobody_can_read_any_more_is_not_counted(served: Served) -> None:
    redis = served.seeded.redis
    id_ = (await served.ask("POST", "/api/v1/webhooks", json=HOOK)).json["id"]
    await redis.call("DEL", keys.webhook(COMPANY, id_))
    await Plans(redis).reindex(COMPANY, 0)
    assert await redis.call("ZCARD", f"{keys.prefix(COMPANY)}webhooks") == 0


async def test_events_are_kept_again_where_their_stream_was_another_thing(served: Served, agent: WireAgent) -> None:
    await served.seeded.redis.call("DEL", keys.events(COMPANY))
    await served.seeded.redis.call("SET", keys.events(COMPANY), "x")
    await submit(served, "a", target="1:7")
    items = (await served.ask("GET", "/api/v1/events?type=job")).json["items"]
    assert [one["subject"] for one in items] == ["a"]
