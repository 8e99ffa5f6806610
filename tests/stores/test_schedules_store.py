"""Schedules in Redis: many masters plan and take at once, and each slot is planned once and noted once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from msgspec import Raw
from msgspec.structs import replace
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.endpoints import clientFromString

from deployer.errors import ChangedError, ConflictError, NotFoundError
from deployer.model.access import Role
from deployer.model.schedules import KEPT, Firing, Plan, Schedule, Slot, due
from deployer.stores import keys
from deployer.stores.redis import Redis
from deployer.stores.schedules import LEASE_MS, Named, ScheduleRecord, Schedules
from support.seeded import COMPANY

MASTERS = 5
ID = "a" * 32
ONE = Named(COMPANY, ID)
SCHEDULE = Schedule(
    id=ID, name="one", every_s=1, job=Raw(b"{}"), user="admin", user_id="i", role=Role.OWNER, created=1000
)


@pytest_twisted.async_yield_fixture
async def masters(redis: Redis, redis_socket: Path) -> AsyncIterator[list[Schedules]]:
    """Several, each with a connection of its own."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (a real server)

    clock: Any = reactor
    made = [Redis(clientFromString(clock, f"unix:{redis_socket}"), clock) for _ in range(MASTERS)]
    for one in made:
        await one.start(10)
    yield [Schedules(one) for one in made]
    for one in made:
        await one.stop()


async def _all(*asked: Any) -> list[Any]:
    return list(await gatherResults([ensureDeferred(one) for one in asked]))


async def _made(masters: list[Schedules], **fields: Any) -> ScheduleRecord:
    wanted = replace(SCHEDULE, **fields)
    await masters[0].put(COMPANY, wanted, wanted.slot_after(await masters[0].now() - 5000))
    return await masters[0].schedule(COMPANY, wanted.id)


def _fired(slot: Slot, told: int = 0) -> Firing:
    return Firing(outcome="fired", at=slot.at, told=told, job=f"{ID}-{slot.at}")


async def _expire(redis: Redis) -> None:
    """Let the lease end."""
    await redis.call("ZADD", keys.FIRINGS, "XX", 0, ONE.member)


async def test_of_masters_that_see_a_slot_one_plans_it(masters: list[Schedules]) -> None:
    known = await _made(masters)
    now = await masters[0].now()
    assert known.next is not None
    plan = due(known.schedule, known.next, now)
    assert len(plan.fire) >= 5
    done = await _all(*(one.plan(COMPANY, known, plan, now) for one in masters))
    assert sorted(done) == [False] * (MASTERS - 1) + [True]
    assert await masters[1].waiting(ONE) == plan.fire
    after = await masters[2].schedule(COMPANY, ID)
    assert (after.next, after.planned, after.version) == (plan.next, plan.fire[-1].at, known.version)


async def test_nothing_is_planned_of_what_has_changed_since_it_was_read(masters: list[Schedules]) -> None:
    known = await _made(masters)
    await masters[1].put(COMPANY, replace(known.schedule, jitter_s=1), known.next, known)
    assert not await masters[0].plan(COMPANY, known, Plan([Slot(1)], (), 1, 2), 0)
    assert await masters[0].waiting(ONE) == []


async def test_a_change_does_not_bring_back_a_slot_that_was_planned_meanwhile(masters: list[Schedules]) -> None:
    known = await _made(masters)
    assert await masters[1].plan(COMPANY, known, due(known.schedule, known.next or 0, await masters[1].now()), 0)
    with pytest.raises(ChangedError):
        await masters[0].put(COMPANY, known.schedule, known.next, known)


async def test_one_master_takes_a_schedule_until_its_lease_ends(masters: list[Schedules], redis: Redis) -> None:
    known = await _made(masters)
    plan = due(known.schedule, known.next or 0, await masters[0].now())
    await masters[0].plan(COMPANY, known, plan, 0)
    taken = await _all(*(one.take(f"m{n}", 10) for n, one in enumerate(masters)))
    (first,) = [n for n, found in enumerate(taken) if found]
    assert taken[first] == [ONE]
    score = float(await redis.call("ZSCORE", keys.FIRINGS, ONE.member))
    assert abs(score - LEASE_MS - await masters[0].now()) < LEASE_MS
    await _expire(redis)
    other = (first + 1) % MASTERS
    assert await masters[other].take(f"m{other}", 10) == [ONE]
    slot = plan.fire[0]
    assert not await masters[first].note(ONE, f"m{first}", slot, _fired(slot))
    assert await masters[other].note(ONE, f"m{other}", slot, _fired(slot))
    assert not await masters[other].note(ONE, f"m{other}", slot, _fired(slot))
    await masters[first].let_go(ONE, f"m{first}")
    assert await masters[first].take("x", 10) == []
    await masters[other].let_go(ONE, f"m{other}")
    assert await masters[first].take("x", 10) == [ONE]


async def test_each_slot_is_noted_once_by_masters_that_race(masters: list[Schedules], redis: Redis) -> None:
    await _made(masters)

    async def work(one: Schedules, name: str) -> list[int]:
        noted: list[int] = []
        for _ in range(20):
            known = await one.schedule(COMPANY, ID)
            now = await one.now()
            await one.plan(COMPANY, known, due(known.schedule, known.next or 0, now), now)
            for taken in await one.take(name, 1):
                for slot in await one.waiting(taken):
                    noted += [slot.at] if await one.note(taken, name, slot, _fired(slot)) else []
                await one.let_go(taken, name)
            await _expire(redis)  # as if each lease had ended already
        return noted

    noted = sorted(at for some in await _all(*(work(one, f"m{n}") for n, one in enumerate(masters))) for at in some)
    known = await masters[0].schedule(COMPANY, ID)
    assert noted == list(range(noted[0], noted[-1] + 1, 1000))
    assert (known.counts["fired"], known.planned, known.next) == (len(noted), noted[-1], noted[-1] + 1000)


async def test_the_last_twenty_are_kept_and_all_are_counted(masters: list[Schedules]) -> None:
    known = await _made(masters)
    slots = [Slot(n) for n in range(30)]
    await masters[0].plan(COMPANY, known, Plan(slots, [1, 2, 3], 30, 31), 7)
    await masters[0].take("m", 1)
    for slot in slots:
        assert await masters[0].note(ONE, "m", slot, _fired(slot))
    await masters[0].let_go(ONE, "m")
    found = await masters[1].firings(COMPANY, ID)
    assert [one.at for one in found] == list(range(29, 29 - KEPT, -1))
    after = await masters[1].schedule(COMPANY, ID)
    assert (after.counts["fired"], after.counts["missed"], after.job) == (30, 3, f"{ID}-29")


async def test_one_that_is_wanted_is_taken_unless_another_has_it(masters: list[Schedules], redis: Redis) -> None:
    await _made(masters)
    assert await masters[0].take("a", 1, ONE) == [ONE]
    assert await masters[1].take("b", 1, ONE) == []
    await masters[0].let_go(ONE, "a")
    assert await redis.call("ZCARD", keys.FIRINGS) == 0
    assert await masters[1].take("b", 1, Named(COMPANY, "b" * 32)) == []
    assert await redis.call("ZCARD", keys.FIRINGS) == 0


async def test_a_removed_schedule_leaves_nothing(masters: list[Schedules], redis: Redis) -> None:
    known = await _made(masters)
    await masters[0].plan(COMPANY, known, Plan([Slot(1)], [0], 1, 2), 0)
    await masters[0].take("m", 1)
    await masters[1].drop(COMPANY, known)
    assert not await masters[0].note(ONE, "m", Slot(1), _fired(Slot(1)))
    await masters[0].let_go(ONE, "m")
    assert [key for key in await redis.call("KEYS", "*") if b":events" not in key] == []
    with pytest.raises(NotFoundError):
        await masters[0].schedule(COMPANY, ID)
    with pytest.raises(NotFoundError):
        await masters[0].drop(COMPANY, known)


async def test_a_name_is_given_once_and_free_again_later(masters: list[Schedules]) -> None:
    known = await _made(masters)
    other = replace(SCHEDULE, id="b" * 32)
    with pytest.raises(ConflictError, match="name"):
        await masters[1].put(COMPANY, other, None)
    await masters[0].put(COMPANY, replace(known.schedule, name="two"), None, known, same=True)
    await masters[1].put(COMPANY, other, None)
    found = await masters[2].named(COMPANY, "one")
    assert found is not None
    assert (found.schedule.id, found.next) == ("b" * 32, None)
    again = await masters[2].schedule(COMPANY, ID)
    assert (again.schedule.name, again.next) == ("two", known.next)
    assert await masters[2].named(COMPANY, "three") is None


@pytest.mark.parametrize("part", [":waiting", ":firings", ""])
async def test_what_lies_in_the_place_of_a_schedule_is_passed_over(
    masters: list[Schedules], redis: Redis, part: str
) -> None:
    known = await _made(masters)
    key = keys.schedule(COMPANY, ID) + part
    await redis.call("DEL", key)
    await redis.call("SET", key, "damaged")
    plan = Plan([Slot(1)], [0], 1, 2)
    assert await masters[0].plan(COMPANY, known, plan, 0) == (part != "")
    for taken in await masters[0].take("m", 1):
        for slot in await masters[0].waiting(taken):
            await masters[0].note(taken, "m", slot, _fired(slot))
        await masters[0].let_go(taken, "m")
    assert await redis.call("ZCARD", keys.FIRINGS) == 0
