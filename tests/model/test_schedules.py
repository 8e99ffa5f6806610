"""What is due of a schedule, what was missed, what waits: pure, with the time given."""

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from deployer.model.access import Role
from deployer.model.schedules import (
    A_LOOK,
    GRACE_MS,
    MADE_UP,
    CatchUp,
    Overlap,
    Plan,
    Schedule,
    Slot,
    decided,
    due,
    surplus,
)
from deployer.protocol.ids import JOB_ID_PATTERN

NOW = 1_800_000_000_000
S = 1000
EVERY = Schedule(
    id="a" * 32, name="s", every_s=60, job=Raw(b"{}"), user="u", user_id="i", role=Role.OPERATOR, created=NOW
)
DAILY = replace(EVERY, every_s=None, cron="30 2 * * *", timezone="Europe/Berlin")


def ats(plan: Plan) -> list[int]:
    return [one.at for one in plan.fire]


def test_a_period_counts_from_its_start_or_its_making() -> None:
    assert list(islice(EVERY.slots(NOW), 2)) == [NOW + 60 * S, NOW + 120 * S]
    assert EVERY.slot_after(NOW + 59_999) == NOW + 60 * S
    started = replace(EVERY, start=NOW + 90 * S)
    assert list(islice(started.slots(NOW), 2)) == [NOW + 90 * S, NOW + 150 * S]
    long_ago = replace(EVERY, start=NOW - 10**9 - 1)
    slot = long_ago.slot_after(NOW)
    assert slot is not None
    assert (slot - NOW + 10**9 + 1) % 60_000 == 0


def test_nothing_fires_before_the_start_or_behind_the_end() -> None:
    bounded = replace(EVERY, start=NOW + 60 * S, end=NOW + 120 * S)
    assert list(bounded.slots(0)) == [NOW + 60 * S, NOW + 120 * S]
    daily = replace(DAILY, start=NOW, end=NOW + 3 * 86400 * S)
    found = list(daily.slots(0))
    assert len(found) == 3
    assert all(NOW <= slot <= NOW + 3 * 86400 * S for slot in found)
    assert daily.slot_after(found[-1]) is None


@pytest.mark.parametrize("every_s", [1, 60, 315_360_000])
def test_a_slot_fires_when_it_is_due_and_not_before(every_s: int) -> None:
    schedule = replace(EVERY, every_s=every_s)
    slot = schedule.slot_after(NOW)
    assert slot is not None
    assert due(schedule, slot, slot - 1) == Plan(next=slot)
    plan = due(schedule, slot, slot)
    assert (plan.fire, plan.missed, plan.last, plan.next) == ([Slot(slot)], [], slot, slot + every_s * S)


@pytest.mark.parametrize(("late", "fired"), [(0, 1), (GRACE_MS, 1), (GRACE_MS + 1, 0)])
def test_a_slot_is_on_time_for_half_a_minute(late: int, fired: int) -> None:
    slot = NOW + 60 * S
    plan = due(EVERY, slot, slot + late)
    assert (len(plan.fire), len(plan.missed)) == (fired, 1 - fired)


@pytest.mark.parametrize(
    ("catch_up", "made_up", "missed"), [("none", 0, 240), ("one", 1, 239), ("all", MADE_UP, 240 - MADE_UP)]
)
def test_after_hours_without_a_master_so_many_are_made_up_for(catch_up: CatchUp, made_up: int, missed: int) -> None:
    first = NOW + 60 * S
    now = first + 240 * 60 * S
    plan = due(replace(EVERY, catch_up=catch_up), first, now)
    assert [one.made_up for one in plan.fire] == [True] * made_up + [False]
    assert (len(plan.missed), plan.last, plan.next) == (missed, now, now + 60 * S)
    assert [*plan.missed, *ats(plan)] == list(range(first, now + 1, 60 * S))


def test_the_last_slot_of_all_is_followed_by_none() -> None:
    ended = replace(EVERY, end=NOW + 60 * S)
    assert due(ended, NOW + 60 * S, NOW + 70 * S) == Plan([Slot(NOW + 60 * S)], [], NOW + 60 * S, None)


def test_a_clock_that_steps_back_fires_nothing_twice() -> None:
    slot = NOW + 60 * S
    plan = due(EVERY, slot, slot)
    assert plan.next is not None
    assert due(EVERY, plan.next, slot - 3600 * S) == Plan(next=plan.next)


def test_a_clock_that_steps_by_a_day_fires_no_storm() -> None:
    schedule = replace(EVERY, every_s=1)
    next_, now, rounds, missed = NOW + S, NOW + 86400 * S, 0, 0
    plan = due(schedule, next_, now)
    while not plan.fire:
        missed += len(plan.missed)
        assert (len(plan.missed), plan.more) == (A_LOOK, True)
        rounds += 1
        assert plan.next is not None
        plan = due(schedule, plan.next, now)
    assert len(plan.fire) == GRACE_MS // S + 1
    assert not plan.more
    assert missed + len(plan.missed) + len(plan.fire) == 86400
    assert rounds > 100


schedules = st.builds(
    lambda every_s, cron, jitter_s, catch_up, id_: replace(
        EVERY, every_s=None if cron else every_s, cron=cron, jitter_s=jitter_s, catch_up=catch_up, id=id_
    ),
    st.integers(1, 7200),
    st.sampled_from([None, "* * * * *", "*/5 1-3 * * *", "30 2 * * *"]),
    st.integers(0, 50),
    st.sampled_from(["none", "one", "all"]),
    st.text("0123456789abcdef", min_size=32, max_size=32),
)


@given(schedules, st.lists(st.integers(-100 * S, 20_000 * S), min_size=1, max_size=30))
def test_each_slot_is_dealt_with_once_however_the_clock_goes(schedule: Schedule, steps: list[int]) -> None:
    now, next_ = NOW, schedule.slot_after(NOW)
    dealt: list[int] = []
    for step in steps:
        now = max(now + step, 0)
        assert next_ is not None
        plan = due(schedule, next_, now)
        assert plan.next is not None
        for slot in plan.fire:
            assert schedule.due_at(slot.at) <= now
        assert len([one for one in plan.fire if one.made_up]) <= MADE_UP
        dealt += sorted([*plan.missed, *ats(plan)])
        assert plan.next >= next_
        assert not dealt or plan.next > dealt[-1]
        next_ = plan.next
    assert dealt == list(islice(schedule.slots(NOW), len(dealt)))


@given(st.integers(0, 3600), st.integers(0, 4 * 10**12))
def test_jitter_is_within_its_bound_and_the_same_for_all_masters(jitter_s: int, slot: int) -> None:
    schedule = replace(EVERY, jitter_s=jitter_s)
    at = schedule.due_at(slot)
    assert slot <= at <= slot + jitter_s * S
    assert at == replace(schedule, name="other", user="x").due_at(slot)


def test_jitter_differs_between_slots_and_between_schedules() -> None:
    one, other = (replace(EVERY, jitter_s=3600, id=c * 32) for c in "ab")
    assert len({one.due_at(NOW + n * 60 * S) - n * 60 * S for n in range(50)}) > 40
    assert one.due_at(NOW) != other.due_at(NOW)


@given(st.integers(0, 7_258_118_400_000), st.booleans())
def test_a_slot_is_written_and_read_and_names_a_job(at: int, made_up: bool) -> None:  # noqa: FBT001 (drawn)
    slot = Slot(at, made_up)
    assert Slot.parse(str(slot)) == slot
    assert re.match(JOB_ID_PATTERN, EVERY.job_id(at))


@pytest.mark.parametrize(
    ("overlap", "before", "does"),
    [
        ("skip", None, "start"),
        ("queue", None, "start"),
        ("replace", None, "start"),
        ("skip", "j", "skip"),
        ("queue", "j", "wait"),
        ("replace", "j", "cancel"),
    ],
)
def test_what_a_slot_does_while_the_job_before_is_not_final(overlap: Overlap, before: str | None, does: str) -> None:
    assert decided(replace(EVERY, overlap=overlap), before) == does


def test_one_slot_waits_and_those_that_are_made_up_for() -> None:
    waiting = [Slot(1, made_up=True), Slot(2, made_up=True), Slot(3), Slot(4), Slot(5)]
    assert surplus(waiting) == [Slot(4), Slot(5)]
    assert surplus([Slot(1)]) == surplus([]) == []
