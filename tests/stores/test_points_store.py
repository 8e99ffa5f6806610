import pytest

from deployer.errors import StaleSessionError
from deployer.model import retention
from deployer.model.current import Row
from deployer.protocol.ids import AgentId
from deployer.protocol.stats import Flush, Point
from deployer.stores import keys
from deployer.stores.points import Bounds, Points, packed
from support.seeded import AGENT, COMPANY, Seeded

BOOT = "a" * 32
STREAM = keys.points(COMPANY)


def flush(at: int, count: int = 1, key: str = "k") -> Flush:
    return Flush(at, 30, [Point("d", "n", f"{key}{n}", "sum", float(n)) for n in range(count)])


async def _stored_bytes(seeded: Seeded) -> tuple[int, int]:
    entries = await seeded.redis.call("XRANGE", STREAM, "-", "+")
    counted = await seeded.redis.call("GET", f"{STREAM}:bytes")
    assert sum(len(fields[3]) for _, fields in entries) == int(counted)
    return len(entries), int(counted)


async def test_a_batch_of_numbers_that_comes_again_is_stored_once(seeded: Seeded) -> None:
    points, session = Points(seeded.redis), await seeded.session()
    said = [await points.store(session, BOOT, seq, [flush(30 * seq)]) for seq in (1, 1, 2, 1)]
    assert [(kept.acked, kept.fresh) for kept in said] == [(1, True), (1, False), (2, True), (2, False)]
    assert (await points.store(session, "b" * 32, 1, [flush(90)])).fresh
    entries = await points.entries(COMPANY, "-", 10)
    assert [(entry.agent, [one.at for one in entry.flushes]) for entry in entries] == [
        (AGENT, [30]),
        (AGENT, [60]),
        (AGENT, [90]),
    ]
    assert entries[0].flushes == [flush(30)]


async def test_batches_of_messages_and_of_numbers_are_counted_apart(seeded: Seeded) -> None:
    points, session = Points(seeded.redis), await seeded.session()
    assert (await seeded.agents.log(session, BOOT, 5, [])).acked == 5
    assert (await points.store(session, BOOT, 1, [flush(0)])).acked == 1


async def test_an_older_session_stores_nothing(seeded: Seeded) -> None:
    old = await seeded.session()
    await seeded.session()
    with pytest.raises(StaleSessionError):
        await Points(seeded.redis).store(old, BOOT, 1, [flush(0)])
    assert await seeded.redis.call("EXISTS", STREAM) == 0


async def test_the_oldest_entries_go_when_there_are_too_many(seeded: Seeded) -> None:
    points, session = Points(seeded.redis, Bounds(entries=3)), await seeded.session()
    gone = [(await points.store(session, BOOT, seq, [flush(30 * seq)])).gone for seq in range(1, 6)]
    assert gone == [0, 0, 0, 1, 1]
    assert [entry.flushes[0].at for entry in await points.entries(COMPANY, "-", 10)] == [90, 120, 150]
    await _stored_bytes(seeded)


async def test_the_oldest_entries_go_when_they_have_too_many_bytes(seeded: Seeded) -> None:
    points, session = Points(seeded.redis, Bounds(size=5000)), await seeded.session()
    for seq in range(1, 20):
        await points.store(session, BOOT, seq, [flush(30 * seq, 10)])
        assert (await _stored_bytes(seeded))[1] <= 5000
    assert [entry.flushes[0].at for entry in await points.entries(COMPANY, "-", 99)][-1] == 30 * 19
    assert (await points.store(session, BOOT, 20, [flush(600, 1000)])).gone > 10
    assert await _stored_bytes(seeded) == (0, 0)


async def test_a_large_batch_becomes_entries_of_a_bounded_size(seeded: Seeded) -> None:
    points, session = Points(seeded.redis), await seeded.session()
    flushes = [flush(0, 5000, "long" * 50), flush(30), flush(60)]
    await points.store(session, BOOT, 1, flushes)
    entries = await points.entries(COMPANY, "-", 100)
    sizes = [len(fields[3]) for _, fields in await seeded.redis.call("XRANGE", STREAM, "-", "+")]
    assert max(sizes) <= retention.POINT_ENTRY_BYTES
    assert len(sizes) < 3 * sum(sizes) / retention.POINT_ENTRY_BYTES
    assert [one for entry in entries for one in entry.flushes][-2:] == flushes[1:]
    told = [point for entry in entries for one in entry.flushes for point in one.points if one.at == 0]
    assert told == flushes[0].points


def test_nothing_is_packed_into_nothing() -> None:
    assert packed([]) == []


async def test_the_last_numbers_of_agents_are_kept_for_a_while(seeded: Seeded) -> None:
    points = Points(seeded.redis)
    rows = [Row("", "", 30, 30, {"cpu": 1.5}), Row("d", "n", 30, 120, {"rss": 7.0})]
    await points.keep_current(AGENT, rows)
    assert await points.current([AGENT, AgentId(9, 9)]) == [rows, []]
    assert await points.current([]) == []
    assert 530 <= await seeded.redis.call("TTL", keys.current(AGENT)) <= 540
