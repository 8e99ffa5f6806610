"""A POST with an Idempotency-Key that comes again is done once and answered as it was (CONVENTIONS 3.3)."""

import time
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults

from deployer.model import retention
from deployer.model.access import Role
from deployer.rest import idempotency
from deployer.stores import keys
from support.seeded import COMPANY
from support.served import Reply, Served, WireAgent

NEW = {"name": "ci"}


async def post(served: Served, key: Any, path: str = "/api/v1/users", body: Any = None, **more: Any) -> Reply:
    headers = {"Idempotency-Key": key}
    return await served.ask("POST", path, json=NEW if body is None else body, headers=headers, **more)


async def test_the_same_request_again_is_answered_as_before_and_done_once(served: Served) -> None:
    first = await post(served, "one", "/api/v1/tokens")
    again = await post(served, '"one"', "/api/v1/tokens")
    assert first.status == again.status == 201
    assert first.json == again.json
    assert first.header("location") == again.header("location")
    assert (first.header("idempotency-replayed"), again.header("idempotency-replayed")) == (None, "true")
    names = [one["name"] for one in (await served.ask("GET", "/api/v1/tokens")).json["items"]]
    assert names.count("ci") == 1


async def test_the_kept_answer_tells_nobody_a_token_who_reads_redis(served: Served) -> None:
    token = (await post(served, "one", "/api/v1/tokens")).json["token"]
    secret = token.rpartition("_")[2].encode()
    for key in await served.seeded.redis.call("KEYS", "*"):
        if await served.seeded.redis.call("TYPE", key) == "string":
            assert secret not in await served.seeded.redis.call("GET", key)


async def test_many_at_once_are_one_and_the_others_are_asked_to_wait_or_get_its_answer(served: Served) -> None:
    replies = await gatherResults([ensureDeferred(post(served, "one", "/api/v1/tokens")) for _ in range(20)])
    made = [reply for reply in replies if reply.status == 201]
    waiting = [reply for reply in replies if reply.status == 409]
    assert len(made) + len(waiting) == 20
    assert len({reply.json["id"] for reply in made}) == 1
    assert all(reply.code == "in_flight" and reply.header("retry-after") for reply in waiting)
    assert (await post(served, "one", "/api/v1/tokens")).json == made[0].json


async def test_the_same_key_with_another_request_is_refused(served: Served) -> None:
    assert (await post(served, "one")).status == 201
    for reply in (await post(served, "one", body={"name": "other"}), await post(served, "one", "/api/v1/users?x=1")):
        assert reply.status in {400, 422}
    reply = await post(served, "one", body={"name": "other"})
    assert (reply.status, reply.code) == (422, "key_reused")


async def test_a_request_that_was_refused_may_come_again(served: Served) -> None:
    assert (await post(served, "one", body={"name": "al", "agents": ["9:9"]})).status in {201, 422}
    await served.ask("POST", "/api/v1/users", json=NEW)
    assert (await post(served, "two")).status == 409
    await served.ask("DELETE", "/api/v1/users/ci")
    assert (await post(served, "two")).status == 201


async def test_a_key_is_one_users_and_one_routes(served: Served) -> None:
    other = await served.token_of("olga", Role.OWNER)
    assert (await post(served, "one", "/api/v1/join-tokens")).status == 201
    assert (await post(served, "one", "/api/v1/tokens")).status == 201
    theirs = await post(served, "one", "/api/v1/tokens", token=other)
    assert theirs.status == 201
    assert theirs.header("idempotency-replayed") is None


async def test_the_key_of_a_job_is_its_id(served: Served, agent: WireAgent) -> None:
    job = {"cmd": "ping", "target": "1:7"}
    first = await post(served, "nightly-7", "/api/v1/jobs", job)
    again = await post(served, "nightly-7", "/api/v1/jobs", job)
    assert (first.status, again.status) == (202, 200)
    assert first.json["id"] == again.json["id"] == "nightly-7"
    assert (await post(served, "nightly-7", "/api/v1/jobs", {**job, "data": "x"})).status == 409
    named = await post(served, "nightly-7", "/api/v1/jobs", {**job, "id": "other"})
    assert (named.status, named.json["id"]) == (202, "other")
    assert (await post(served, "a:b", "/api/v1/jobs", job)).status == 400
    assert [one["id"] for one in await agent.poll()] == ["nightly-7", "other"]


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 129, "é", ["one", "two"]])
async def test_a_key_that_is_none_is_malformed(served: Served, key: Any) -> None:
    reply = await post(served, key)
    assert (reply.status, reply.code) == (400, "malformed")
    assert (await served.ask("GET", "/api/v1/users/ci")).status == 404


async def test_a_client_that_leaves_gets_the_answer_when_it_asks_again(served: Served) -> None:
    leaving = Deferred.fromCoroutine(post(served, "one", "/api/v1/users"))
    leaving.addErrback(lambda _: None)
    index = keys.claims(COMPANY)
    while not await served.seeded.redis.call("ZCARD", index):
        assert not leaving.called
    leaving.cancel()
    reply = await post(served, "one")
    while reply.status == 409:
        reply = await post(served, "one")
    assert reply.status == 201
    assert reply.json["name"] == "ci"


async def test_a_claim_whose_master_died_says_that_it_is_not_known(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(served, "one")
    (key,) = await served.seeded.redis.call("KEYS", "dpl:c:*:claim:*")
    await served.seeded.redis.call("SET", key, b"garbage")
    damaged = await post(served, "one")
    assert (damaged.status, damaged.code) == (409, "in_flight")
    assert "another key" in damaged.json["detail"]
    monkeypatch.setattr(idempotency.Idempotency, "_do", _die)
    dead = Deferred.fromCoroutine(post(served, "two"))
    dead.addErrback(lambda _: None)
    assert "being worked on" in (await _answered(served, "two")).json["detail"]
    monkeypatch.setattr(idempotency, "UNDERWAY_MS", 0)
    assert "died" in (await post(served, "two")).json["detail"]
    dead.cancel()


async def _die(*_: object) -> None:
    """A master that does nothing more."""


async def _answered(served: Served, key: str) -> Reply:
    end = time.monotonic() + 20
    while await served.seeded.redis.call("ZCARD", keys.claims(COMPANY)) < 2:
        assert time.monotonic() < end
    return await post(served, key)


async def test_keys_have_an_end_and_a_number_at_most(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(served, "one")
    (key,) = await served.seeded.redis.call("KEYS", "dpl:c:*:claim:*")
    assert 0 < await served.seeded.redis.call("PTTL", key) <= retention.CLAIM_MS
    monkeypatch.setattr(retention, "CLAIMS_PER_COMPANY", 1)
    assert (await post(served, "two", body={"name": "b"})).status == 429
