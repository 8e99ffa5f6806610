import pytest

from deployer.errors import ConflictError, NotFoundError, UnauthorizedError
from deployer.protocol.ids import AgentId
from deployer.protocol.wire import JoinRequest
from deployer.stores import keys
from deployer.stores.agents import Entry
from support.seeded import AGENT, COMPANY, NOW, Seeded, ok

BOOT = "a" * 32


async def test_joining_again_with_the_same_key_finds_the_same_agent(seeded: Seeded) -> None:
    assert await seeded.join() == AGENT
    assert await seeded.join(nid=None) == AGENT


async def test_a_number_is_given_when_none_is_asked_for(seeded: Seeded) -> None:
    assert await seeded.join("second", None) == AgentId(1, 2)
    assert await seeded.join("third", None) == AgentId(1, 3)


async def test_a_taken_number_or_key_is_refused(seeded: Seeded) -> None:
    with pytest.raises(ConflictError):
        await seeded.join("another", 1)
    with pytest.raises(ConflictError):
        await seeded.join(nid=7)


async def test_a_join_token_is_good_for_its_time_its_grid_and_its_uses(seeded: Seeded) -> None:
    async def join(key: str, gid: int | None, now: int) -> AgentId:
        wanted = JoinRequest(token="", public_key=key, hostname="h", gid=gid, nid=None)
        return (await seeded.agents.join(seeded.join_token.kid, wanted, now))[0]

    with pytest.raises(UnauthorizedError, match="expired"):
        await join("k", None, NOW + 86400 * 1000)
    with pytest.raises(UnauthorizedError, match="grid"):
        await join("k", 2, NOW)
    await seeded.redis.call("HSET", keys.join_token(seeded.join_token.kid), "uses", 1)
    assert await join("k", None, NOW) == AgentId(1, 2)
    with pytest.raises(UnauthorizedError, match="used up"):
        await join("l", None, NOW)
    assert await join("k", None, NOW) == AgentId(1, 2)


async def test_agents_are_listed_by_number_and_never_another_companys(seeded: Seeded) -> None:
    for key in ("b", "c"):
        await seeded.join(key, None)
    found = await seeded.agents.agents(COMPANY, None, 2)
    assert [one.id.nid for one in found] == [1, 2]
    assert [one.id.nid for one in await seeded.agents.agents(COMPANY, found[-1].id, 10)] == [3]
    assert await seeded.agents.agents("other", None, 10) == []
    with pytest.raises(NotFoundError):
        await seeded.agents.agent("other", AGENT)


async def test_a_silent_agent_becomes_overdue_then_offline_and_back_each_with_an_event(seeded: Seeded) -> None:
    session = await seeded.session()
    assert await seeded.agents.review_presence() == 0
    for silent_ms, state in ((36_000, "overdue"), (121_000, "offline")):
        await _age(seeded, silent_ms)
        assert await seeded.agents.review_presence() == 1
        assert (await seeded.agents.agent(COMPANY, AGENT)).state == state
    await seeded.agents.claim(session, 1)
    assert (await seeded.agents.agent(COMPANY, AGENT)).state == "online"
    events = await seeded.redis.call("XRANGE", f"{keys.prefix(COMPANY)}events", "-", "+")
    assert [fields[5] for _, fields in events] == [b"offline", b"online", b"overdue", b"offline", b"online"]


async def _age(seeded: Seeded, silent_ms: int) -> None:
    seconds, micros = await seeded.redis.call("TIME")
    seen = int(seconds) * 1000 + int(micros) // 1000 - silent_ms
    for index in (keys.SEEN_ONLINE, keys.SEEN_OVERDUE):
        await seeded.redis.call("ZADD", index, "XX", seen, str(AGENT))
    await seeded.redis.call("HSET", keys.agent(AGENT), "last_seen", seen)


async def test_the_last_contact_is_not_written_at_each_poll(seeded: Seeded) -> None:
    session = await seeded.session()
    before = await seeded.agents.agent(COMPANY, AGENT)
    await seeded.agents.claim(session, 1)
    assert (await seeded.agents.agent(COMPANY, AGENT)).last_seen == before.last_seen


async def _running(seeded: Seeded) -> None:
    await seeded.submit("a")
    session = await seeded.session()
    await seeded.agents.claim(session, 1)
    await seeded.agents.accept(session, ["a"])


async def test_a_batch_of_messages_that_comes_again_is_stored_once(seeded: Seeded) -> None:
    await _running(seeded)
    session = await seeded.session()
    entry = Entry("a", "log.d.n", 1, 10, b"[]")
    for seq, acked in ((1, 1), (1, 1), (2, 2), (1, 2)):
        assert (await seeded.agents.log(session, BOOT, seq, [entry])).acked == acked
    assert await seeded.redis.call("XLEN", "log.d.n") == 2
    assert (await seeded.agents.log(session, "b" * 32, 1, [entry])).acked == 1
    assert await seeded.redis.call("XLEN", "log.d.n") == 3


async def test_messages_of_tasks_that_are_not_the_agents_own_are_dropped_and_told(seeded: Seeded) -> None:
    await _running(seeded)
    await seeded.submit("waiting")
    session = await seeded.session()
    entries = [Entry("waiting", "log.d.n", 2, 10, b"[]"), Entry("ghost", "log.d.n", 3, 10, b"[]")]
    logged = await seeded.agents.log(session, BOOT, 1, entries)
    assert (logged.acked, logged.foreign) == (1, 5)
    assert await seeded.redis.call("EXISTS", "log.d.n") == 0


async def test_what_is_over_a_tasks_share_is_counted(seeded: Seeded) -> None:
    await _running(seeded)
    session = await seeded.session()
    await seeded.redis.call("HSET", keys.task(COMPANY, "a", AGENT), "log_bytes", 64 * 1024 * 1024)
    logged = await seeded.agents.log(session, BOOT, 1, [Entry("a", "log.d.n", 7, 10, b"[]")])
    assert (logged.acked, logged.over) == (1, 7)
    await seeded.redis.call("HSET", keys.task(COMPANY, "a", AGENT), "log_bytes", 0)
    logged = await seeded.agents.log(session, BOOT, 2, [Entry("a", "log.d.n", 1, 1, b"[]")])
    assert logged.over == 1  # what came after it would lie between what is with the agent
    assert (await seeded.jobs.tasks(COMPANY, "a", 0, 1))[0].log_dropped == 8
    assert await seeded.agents.finish(session, [ok("a")]) == ["OK"]
