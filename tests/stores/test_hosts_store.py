"""Facts of hosts over the real Redis: versions, races, bounds."""

from itertools import pairwise

import pytest
from twisted.internet.defer import Deferred, gatherResults

from deployer.errors import NotFoundError, StaleSessionError, UnavailableError
from deployer.model.retention import VERSIONS_PER_HOST
from deployer.protocol.facts import HostFacts
from deployer.protocol.ids import AgentId
from deployer.stores import hosts as store
from deployer.stores import keys
from deployer.stores.hosts import Hosts
from support.hosts import HOST, changed
from support.seeded import AGENT, Seeded


async def test_facts_that_are_told_again_make_no_version_and_touch_the_agent(seeded: Seeded) -> None:
    hosts, session = Hosts(seeded.redis), await seeded.session()
    first = await hosts.keep(session, HOST, 1000)
    await seeded.redis.call("HSET", keys.agent(AGENT), "last_seen", 5)
    again = await hosts.keep(session, HOST, 2000)
    assert (first.number, again.number, again.made) == (1, 1, None)
    assert [(one.n, one.at) for one in await hosts.versions(AGENT, None, 9)] == [(1, 1000)]
    assert await hosts.facts(AGENT) == HOST
    assert int(await seeded.redis.call("HGET", keys.agent(AGENT), "last_seen")) > 5


async def test_the_order_in_which_facts_come_makes_no_version(seeded: Seeded) -> None:
    hosts, session = Hosts(seeded.redis), await seeded.session()
    await hosts.keep(session, HOST, 1000)
    turned = changed(cpu={"flags": ["sse", "avx", "sse"]})
    assert (await hosts.keep(session, turned, 2000)).number == 1


async def test_each_change_is_a_version_the_newest_first(seeded: Seeded) -> None:
    hosts, session = Hosts(seeded.redis), await seeded.session()
    for at, mhz in enumerate([1, 2, 2, None]):
        await hosts.keep(session, changed(cpu={"mhz": mhz}), at)
    told = await hosts.versions(AGENT, None, 2)
    assert [(one.n, one.at, [(c.path, c.old, c.new) for c in one.changes]) for one in told] == [
        (3, 3, [("/cpu/mhz", 2, None)]),
        (2, 1, [("/cpu/mhz", 1, 2)]),
    ]
    assert [one.n for one in await hosts.versions(AGENT, 2, 9)] == [1]
    record, nothing = await hosts.records([AGENT, AgentId(9, 9)])
    assert record is not None
    assert (record.versions, record.summary.name, nothing) == (3, "web1", None)


async def test_the_last_hundred_versions_stay(seeded: Seeded) -> None:
    hosts, session = Hosts(seeded.redis), await seeded.session()
    for at in range(VERSIONS_PER_HOST + 5):
        await hosts.keep(session, changed(boot_time=at), at)
    kept = await hosts.versions(AGENT, None, 1000)
    assert [one.n for one in kept] == list(range(VERSIONS_PER_HOST + 5, 5, -1))


async def test_sizes_beyond_what_a_double_holds_stay_exact(seeded: Seeded) -> None:
    hosts, session = Hosts(seeded.redis), await seeded.session()
    await hosts.keep(session, changed(memory={"total": 2**62 - 1}), 1)
    await hosts.keep(session, changed(memory={"total": 2**62 - 3}), 2)
    (newest, _) = await hosts.versions(AGENT, None, 2)
    assert (newest.changes[0].old, newest.changes[0].new) == (2**62 - 1, 2**62 - 3)


async def test_masters_at_the_same_time_lose_no_version(seeded: Seeded) -> None:
    session = await seeded.session()
    masters = [Hosts(seeded.redis) for _ in range(4)]
    told = [changed(boot_time=n) for n in range(4)]

    def tell(master: Hosts, facts: HostFacts) -> "Deferred[object]":
        return Deferred.fromCoroutine(master.keep(session, facts, 0))

    await gatherResults([tell(*pair) for pair in zip(masters, told, strict=True)], consumeErrors=True)
    versions = await masters[0].versions(AGENT, None, 9)
    assert [one.n for one in versions] == [4, 3, 2, 1]
    steps = [(one.changes[0].old, one.changes[0].new) for one in reversed(versions[:-1])]
    assert all(step[1] == after[0] for step, after in pairwise(steps))
    assert steps[-1][1] == (await masters[0].facts(AGENT)).boot_time


async def test_the_same_facts_from_two_masters_at_once_are_one_version(seeded: Seeded) -> None:
    session = await seeded.session()
    asked = [Deferred.fromCoroutine(Hosts(seeded.redis).keep(session, HOST, 0)) for _ in range(2)]
    kept = await gatherResults(asked)
    assert sorted((one.number, one.made is not None) for one in kept) == [(1, False), (1, True)]


async def test_who_always_comes_too_late_is_told_to_try_again(seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "TRIES", 0)
    with pytest.raises(UnavailableError):
        await Hosts(seeded.redis).keep(await seeded.session(), HOST, 0)


async def test_facts_in_another_form_are_kept_without_a_version(seeded: Seeded) -> None:
    """As after an upgrade of the master, whose records have one more field with a default."""
    hosts, session = Hosts(seeded.redis), await seeded.session()
    await hosts.keep(session, HOST, 1)
    await seeded.redis.call("HSET", keys.host(AGENT), "sha", "of another form")
    assert (await hosts.keep(session, HOST, 2)).made is None
    (record,) = await hosts.records([AGENT])
    assert record is not None
    assert (record.versions, len(record.sha256)) == (1, 64)


async def test_an_older_session_describes_nothing(seeded: Seeded) -> None:
    old = await seeded.session()
    await seeded.session()
    hosts = Hosts(seeded.redis)
    with pytest.raises(StaleSessionError):
        await hosts.keep(old, HOST, 0)
    with pytest.raises(NotFoundError):
        await hosts.facts(AGENT)
    assert await hosts.records([AGENT]) == [None]
    assert await hosts.versions(AGENT, None, 9) == []
