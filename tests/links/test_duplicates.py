"""Two instances with one key (RELIABILITY 2.6 g): the one that lives keeps the session, and everybody is told."""

import secrets
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from deployer.errors import OtherInstanceError, QuarantinedError
from deployer.model import limits
from deployer.stores import keys
from deployer.stores.agents import Asked, Opened
from support.seeded import AGENT, COMPANY, Seeded
from support.served import Served, WireAgent


def twin(served: Served, agent: WireAgent) -> WireAgent:
    made = WireAgent(served, agent.agent)
    made.key, made.instance = agent.key, "a" * 32
    return made


async def poll_on(agent: WireAgent, counts: list[int]) -> None:
    while True:
        counts[0] += len(await agent.poll())


async def shown(served: Served) -> Any:
    return (await served.ask("GET", "/api/v1/agents/1:7")).json["duplicate"]


async def test_an_instance_that_polls_keeps_its_session_and_its_commands(served: Served, agent: WireAgent) -> None:
    counts = [0]
    polling = Deferred.fromCoroutine(poll_on(agent, counts))
    await served.until(lambda: len(served.hub) == 1)
    assert await shown(served) is None
    began = served.clock.seconds()
    for _ in range(3):
        reply = await twin(served, agent).open()
        assert (reply.status, reply.code) == (409, "other_instance")
    assert served.clock.seconds() - began < 3 * limits.PROOF_S
    await served.submit(target="1:7", id="a")
    await served.until(lambda: counts[0] == 1)
    polling.addErrback(lambda _: None)
    polling.cancel()
    await polling
    known = await shown(served)
    assert (known["instance"], known["hostname"], known["outcome"]) == ("a" * 32, "", "refused")


async def test_one_that_answers_nothing_any_more_is_taken_over_from(served: Served, agent: WireAgent) -> None:
    waiting = Deferred.fromCoroutine(agent.poll())
    await served.until(lambda: len(served.hub) == 1)
    other = twin(served, agent)
    reply = await other.open()
    assert reply.status == 200
    assert await waiting == []
    assert (await shown(served))["outcome"] == "took over"
    stale = await served.ask("GET", "/1/7/cmd?n=0", token=agent.session)
    assert stale.status in {401, 409}
    again = Deferred.fromCoroutine(agent.open())
    while not again.called:
        await other.poll(0)
    assert (await again).code == "other_instance"


def opened(instance: str) -> Opened:
    return Opened(AGENT, instance, secrets.token_hex(32), "1", "host")


async def test_instances_that_take_over_from_each_other_are_quarantined(seeded: Seeded) -> None:
    await seeded.agents.enter(opened("0" * 32))
    for number in range(limits.TAKEOVERS):
        await seeded.redis.call("HSET", keys.agent(AGENT), "last_seen", 1)
        assert await seeded.agents.enter(opened(f"{number + 1:032x}")) == number + 2
    await seeded.redis.call("HSET", keys.agent(AGENT), "last_seen", 1)
    with pytest.raises(QuarantinedError, match="10 minutes"):
        await seeded.agents.enter(opened("f" * 32))
    last = f"{limits.TAKEOVERS:032x}"
    assert await seeded.agents.enter(opened(last)) == limits.TAKEOVERS + 2
    with pytest.raises(QuarantinedError):
        await seeded.agents.enter(opened("0" * 32))
    record = await seeded.agents.agent(COMPANY, AGENT)
    assert record.duplicate is not None
    assert (record.duplicate.outcome, record.duplicate.instance) == ("quarantined", "0" * 32)
    events = await seeded.redis.call("XRANGE", f"{keys.prefix(COMPANY)}events", "-", "+")
    assert sum(b"agent.duplicate" in entry for _, entry in events) == 1


async def test_a_poll_that_waited_is_no_proof_and_the_next_one_is(seeded: Seeded) -> None:
    from deployer.errors import PollAgainError  # noqa: PLC0415 (only here)

    session = await seeded.session()
    asked = await seeded.agents.enter(opened("1" * 32))
    assert isinstance(asked, Asked)
    with pytest.raises(PollAgainError):
        await seeded.agents.claim(session, 1)
    assert not await seeded.agents.has_answered(AGENT, asked)
    assert await seeded.agents.claim(session, 1) == []
    assert await seeded.agents.has_answered(AGENT, asked)
    with pytest.raises(OtherInstanceError):
        await seeded.agents.enter(opened("1" * 32), asked.at)


@pytest.mark.parametrize("field", ["answered", "asked", "quarantined", "takeovers", "takeovers_since", "rival_at"])
async def test_damaged_numbers_lock_nobody_out(seeded: Seeded, field: str) -> None:
    await seeded.agents.enter(opened("0" * 32))
    await seeded.redis.call("HSET", keys.agent(AGENT), field, "\x00x", "last_seen", 1)
    assert isinstance(await seeded.agents.enter(opened("1" * 32)), int)
