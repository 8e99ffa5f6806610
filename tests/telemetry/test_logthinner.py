import msgspec
import pytest

from deployer.model.thinning import KEPT, PROTECTED, Schedule, Step, parse
from deployer.protocol.messages import StoredMessage
from deployer.stores import keys
from deployer.stores.installation import Installations
from deployer.stores.lease import Lease
from deployer.stores.logs import Logs, Said
from deployer.telemetry.logthinner import LogThinner
from support.seeded import COMPANY, Seeded

PREFIX = keys.prefix(COMPANY)
OLD = Schedule((Step(1, 1),))
"""Everything is old at once."""


def said(stream: str, *levels: int, size: int = 10) -> Said:
    messages = [StoredMessage("", "1:1", level, place, 0, "x" * size) for place, level in enumerate(levels)]
    return Said(stream, len(levels), msgspec.json.encode(messages))


def thinner(seeded: Seeded, schedule: Schedule, most: int = 10**9, owner: str = "one") -> LogThinner:
    lease = Lease(seeded.redis, keys.THINNER, owner, 10_000)
    return LogThinner(Logs(seeded.redis), lease, Installations(seeded.redis).companies, schedule, most)


async def read(seeded: Seeded, stream: str, order: str = "asc") -> list[tuple[int, int]]:
    """Place and level of each message of a stream with all its tiers."""
    found = await Logs(seeded.redis).entries(stream, "-", "+", 10_000, order)  # type: ignore[arg-type]
    made = []
    for entry in found:
        messages = msgspec.json.decode(entry.messages)
        made += list(zip(entry.places or range(len(messages)), [one["level"] for one in messages], strict=True))
    return made


async def passed(seeded: Seeded, ms: int) -> None:
    """Wait until so many ms of Redis' time are over."""
    logs = Logs(seeded.redis)
    end = (await logs.grown(COMPANY, 0)).now + ms
    while (await logs.grown(COMPANY, 0)).now <= end:
        pass


async def test_what_is_young_stays_as_it_is(seeded: Seeded) -> None:
    logs = Logs(seeded.redis)
    await logs.append(COMPANY, [said("log.a.b", *range(1, 10))])
    assert not await thinner(seeded, parse("all:1h, 1/10:1d")).round()
    assert await read(seeded, "log.a.b") == [(place, place + 1) for place in range(9)]


async def test_with_age_a_share_stays_and_all_that_is_protected_in_order(seeded: Seeded) -> None:
    logs = Logs(seeded.redis)
    levels = [1, 5, 7, 2, 20, 6, 30, 1, 9, 3] * 20
    for first in range(0, 200, 10):
        await logs.append(COMPANY, [said("log.a.b", *levels[first : first + 10])])
    before = await read(seeded, "log.a.b")
    await passed(seeded, 5)
    works = thinner(seeded, Schedule((Step(1, 1), Step(5, 10**12))))
    while await works.round():
        pass
    after = await read(seeded, "log.a.b")
    protected = [one for one in before if one[1] in PROTECTED]
    assert [one for one in after if one[1] in PROTECTED] == protected
    assert len(protected) < len(after) < len(before) * 0.6
    assert works.left_out == len(before) - len(after) == await logs.left_out(COMPANY, ["log.a.b"])
    assert [entry.id for entry in await logs.entries("log.a.b", "-", "+", 99)] == [
        entry.id for entry in reversed(await logs.entries("log.a.b", "-", "+", 99, "desc"))
    ]
    again = thinner(seeded, OLD)
    while await again.round():
        pass
    assert await read(seeded, "log.a.b") == protected


async def test_sizes_stay_true_and_what_is_empty_is_forgotten(seeded: Seeded) -> None:
    logs = Logs(seeded.redis)
    for _ in range(40):
        await logs.append(COMPANY, [said("log.a.b", 1, 7), said("log.only.new", 1)])
    await passed(seeded, 5)
    works = thinner(seeded, OLD)
    while await works.round():
        pass
    kept = await logs.oldest("log.a.b", KEPT, None, 100)
    assert await logs.sizes(COMPANY) == ({}, {"log.a.b": sum(len(one.messages) for one in kept)})
    assert [one for one, _ in await logs.streams(COMPANY, 0, 10)] == ["log.a.b"]
    assert await seeded.redis.call("EXISTS", "log.only.new", "log.only.new:5") == 0
    assert await seeded.redis.call("ZCARD", f"{PREFIX}logs:first:0") == 0


async def test_a_company_keeps_within_its_bytes_and_the_largest_stream_pays(seeded: Seeded) -> None:
    logs = Logs(seeded.redis)
    for number in range(300):
        await logs.append(COMPANY, [said("log.big.x", 1, 8 if number % 10 == 0 else 2, size=100)])
    for _ in range(5):
        await logs.append(COMPANY, [said("log.small.x", 1, 1)])
    small = await read(seeded, "log.small.x")
    before = await read(seeded, "log.big.x")
    works = thinner(seeded, parse("all:7d"), 20_000)
    while await works.round():
        pass
    open_, kept = await logs.sizes(COMPANY)
    assert 15_000 < sum(open_.values()) + sum(kept.values()) <= 20_000
    assert await read(seeded, "log.small.x") == small
    after = await read(seeded, "log.big.x")
    assert [one for one in after if one[1] == 8] == [one for one in before if one[1] == 8]
    assert after[-10:] == before[-10:]


async def test_what_is_protected_goes_when_there_is_nothing_else(seeded: Seeded) -> None:
    logs = Logs(seeded.redis)
    for number in range(200):
        await logs.append(COMPANY, [said("log.errors.x", 9, size=100 + number % 2)])
    await logs.append(COMPANY, [said("log.talk.x", 1, 1, 1)])
    works = thinner(seeded, parse("all:7d"), 10_000)
    while await works.round():
        pass
    open_, kept = await logs.sizes(COMPANY)
    assert open_ == {}
    assert 5_000 < sum(kept.values()) <= 10_000
    assert await read(seeded, "log.talk.x") == []


async def test_one_master_at_a_time_thins(seeded: Seeded) -> None:
    await Logs(seeded.redis).append(COMPANY, [said("log.a.b", 1)])
    await passed(seeded, 5)
    first, second = thinner(seeded, parse("all:7d")), thinner(seeded, OLD, owner="other")
    await first.round()
    assert not await second.round()
    assert await read(seeded, "log.a.b") == [(0, 1)]
    await first.let_go()
    await second.round()
    assert await read(seeded, "log.a.b") == []


@pytest.mark.parametrize("wrong", ["a string", "nonsense in the stream", "somebody else's tier"])
async def test_what_others_have_written_under_our_names_ends_nothing(seeded: Seeded, wrong: str) -> None:
    logs = Logs(seeded.redis)
    await logs.append(COMPANY, [said("log.a.b", 1, 9), said("log.other.x", 9)])
    if wrong == "a string":
        await seeded.redis.call("SET", "log.a.b", "x")
    elif wrong == "nonsense in the stream":
        await seeded.redis.call("XADD", "log.a.b", "*", "z", "1")
        await seeded.redis.call("XADD", "log.a.b", "*", "m", "[[")
    else:
        await seeded.redis.call("SET", "log.a.b:5", "x")
    await passed(seeded, 5)
    works = thinner(seeded, OLD, 10**6)
    for _ in range(3):
        await works.round()
    assert await read(seeded, "log.other.x") == [(0, 9)]
    if wrong != "a string":
        assert (await read(seeded, "log.a.b"))[0] == (1, 9)


async def test_streams_of_an_earlier_release_are_found_and_thinned_too(seeded: Seeded) -> None:
    logs = Logs(seeded.redis)
    await logs.append(COMPANY, [said("log.a.b", 1, 9)])
    await seeded.redis.call("DEL", f"{PREFIX}logs:at", f"{PREFIX}logs:first:0")
    assert await logs.streams(COMPANY, 0, 10) == []
    await passed(seeded, 5)
    works = thinner(seeded, OLD)
    while await works.round():
        pass
    assert [name for name, _ in await logs.streams(COMPANY, 0, 10)] == ["log.a.b"]
    assert await read(seeded, "log.a.b") == [(1, 9)]
