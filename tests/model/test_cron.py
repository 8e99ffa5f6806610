"""When cron expressions fire in real time: by tables, and by comparing with each minute looked at one by one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.model.cron import LAST_MS, MAX_CHARS, NICKNAMES, BadCron, BadZone, Cron

MINUTE = timedelta(minutes=1)
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, 12, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 31, 12, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 3, 12, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 2, 12, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 5, 12, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 4, 23, 12, tzinfo=UTC)),
    ("UTC", datetime(2026, 3, 28, 12, tzinfo=UTC)),
]
"""A little before the clocks change: by an hour, by half an hour, and at midnight."""


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def firings(text: str, zone: str, start: str, count: int) -> list[str]:
    cron, at, found = Cron(text, zone), ms(start), []
    for _ in range(count):
        next_ = cron.after(at)
        assert next_ is not None
        assert next_ > at
        at = next_
        found.append(datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


@pytest.mark.parametrize(
    ("text", "zone", "start", "expected"),
    [
        ("0 4 * * 1-5", "UTC", "2026-11-27T12:00+00:00", ["30 04:00+0000", "01 04:00+0000"]),
        ("@hourly", "UTC", "2026-11-27T12:00+00:00", ["27 13:00+0000", "27 14:00+0000"]),
        (" @Daily ", "UTC", "2026-11-27T12:00+00:00", ["28 00:00+0000"]),
        ("0 0 29 2 *", "UTC", "2026-11-27T12:00+00:00", ["29 00:00+0000", "29 00:00+0000"]),
        ("0 0 1,15 * FRI", "UTC", "2026-11-27T12:00+00:00", ["01 00:00+0000", "04 00:00+0000"]),
        ("0 12 L * *", "UTC", "2026-11-27T12:00+00:00", ["30 12:00+0000", "31 12:00+0000"]),
        ("0 0 * * 1#2", "UTC", "2026-11-27T12:00+00:00", ["14 00:00+0000"]),
        ("30 12 * * *", "Asia/Kolkata", "2026-11-27T06:00+00:00", ["27 12:30+0530"]),
        # 02:30 does not come on the day of the change: it is at the moment of the jump
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00+01:00", ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        ("30 2 * * *", "America/New_York", "2026-03-08T00:00-05:00", ["08 03:00-0400", "09 02:30-0400"]),
        # several that do not come are one, and one with what comes then anyway
        ("0,15,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00+01:00", ["29 03:00+0200", "29 03:15+0200"]),
        # 02:30 comes twice: it is at the first
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00+02:00", ["25 02:30+0200", "26 02:30+0100"]),
        ("30 1 * * *", "America/New_York", "2026-11-01T00:00-04:00", ["01 01:30-0400", "02 01:30-0500"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:10+01:00", ["26 02:30+0100"]),
        # what begins with a star follows real time
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:00+01:00", ["29 01:30+0100", "29 03:00+0200"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-29T01:00+01:00", ["30 02:00+0200", "30 02:30+0200"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:00+02:00",
            ["25 01:30+0200", "25 02:30+0200", "25 02:30+0100", "25 03:30+0100"],
        ),
        (
            "*/40 2 25 10 *",
            "Europe/Berlin",
            "2026-10-25T02:10+02:00",
            ["25 02:40+0200", "25 02:00+0100", "25 02:40+0100", "25 02:00+0200"],
        ),
    ],
)
def test_an_expression_fires_at_these_times(text: str, zone: str, start: str, expected: list[str]) -> None:
    assert firings(text, zone, start, len(expected)) == expected


BAD = [
    "",
    " ",
    "x",
    "* * * *",
    "* * * * * *",
    "* * * * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "*/0 * * * *",
    "5-1 * * * *",
    "-1 * * * *",
    "1.5 * * * *",
    "1,, * * * *",
    "@reboot",
    "@every 5m",
    "0 0 30 2 *",
    "0 0 31 4,6,9,11 *",
    "0 0 31 2 */2",
    "* * * * MON#6",
    "\N{ARABIC-INDIC DIGIT ONE} * * * *",
    "*\x00 * * * *",
    "0," * 500_000 + "0 * * * *",
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_expression_or_never_fires_is_refused(text: str) -> None:
    with pytest.raises(BadCron) as error:
        Cron(text)
    assert len(str(error.value)) < 300


def test_a_refusal_says_what_is_wrong() -> None:
    for text, said in (
        ("0 0 30 2 *", "no month that is named has day 30: it would never fire"),
        ("61 * * * *", "'61' cannot be the minute"),
        ("0 0 * * 9", "'9' cannot be the day of week"),
        ("* * * * * *", "minute, hour, day, month, day of the week; this one has 6"),
        ("@reboot", "is none of @yearly"),
    ):
        with pytest.raises(BadCron, match=said.replace("*", r"\*")):
            Cron(text)


@pytest.mark.parametrize(
    "zone", ["", "Europe", "Europe/Atlantis", "localtime", "../../../etc/passwd", "/etc", "x" * 99]
)
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadZone, match="is no time zone"):
        Cron("@daily", zone)


@given(st.text(st.sampled_from("0123456789*/,-#LWmon@ \t"), max_size=MAX_CHARS))
@example("L-3 L L L L")
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        cron = Cron(text, "Europe/Berlin")
    except BadCron:
        return
    at = cron.after(ms("2026-01-01T00:00Z"))
    assert at is not None
    assert at % 60_000 == 0


def test_nothing_fires_before_1970_or_from_2200_on() -> None:
    cron = Cron("* * * * *")
    assert [cron.after(at) for at in (-1, LAST_MS, LAST_MS - 1, 10**18)] == [None] * 4
    assert cron.after(LAST_MS - 60_001) == LAST_MS - 60_000


numbers = st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True)
hours = st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True)
steps = st.sampled_from([1, 7, 15, 20, 30])


def _grid(zone: str, start: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each minute of two days, in real time and on the wall."""
    for number in range(2 * 24 * 60):
        at = start + number * MINUTE
        yield at, at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def _all(cron: Cron, start: datetime) -> list[datetime]:
    at, end, found = int(start.timestamp() * 1000) - 1, start + timedelta(days=2), []
    while True:
        next_ = cron.after(at)
        assert next_ is not None
        assert next_ > at
        if (when := datetime.fromtimestamp(next_ / 1000, UTC)) >= end:
            return found
        found.append(when)
        at = next_


@given(change=st.sampled_from(CHANGES), step=steps, of=st.none() | hours)
def test_a_star_is_each_real_minute_that_fits_and_no_other(
    change: tuple[str, datetime], step: int, of: list[int] | None
) -> None:
    zone, start = change
    cron = Cron(f"*/{step} {'*' if of is None else ','.join(map(str, of))} * * *", zone)
    fits = [at for at, wall in _grid(zone, start) if wall.minute % step == 0 and (of is None or wall.hour in of)]
    assert _all(cron, start) == fits


@given(change=st.sampled_from(CHANGES), minutes=numbers, of=hours)
def test_a_time_of_day_comes_once_each_day_whatever_the_clocks_do(
    change: tuple[str, datetime], minutes: list[int], of: list[int]
) -> None:
    zone, start = change
    cron = Cron(f"{','.join(map(str, minutes))} {','.join(map(str, of))} * * *", zone)
    expected: set[datetime] = set()
    seen: set[datetime] = set()
    before = None
    for at, wall in _grid(zone, start):
        gap = [] if before is None else [before + n * MINUTE for n in range(1, max((wall - before) // MINUTE, 0))]
        if any(one.minute in minutes and one.hour in of for one in [*gap, wall] if one not in seen):
            expected.add(at)
        seen.update([*gap, wall])
        before = wall if before is None else max(before, wall)
    assert _all(cron, start) == sorted(expected)


@given(
    st.sampled_from([*NICKNAMES, "*/7 1-3 * * *", "5 2 25 10 *"]),
    st.sampled_from(CHANGES),
    st.integers(0, 2 * 86_400_000),
)
def test_the_next_firing_is_behind_now_and_that_of_any_time_until_it(
    text: str, change: tuple[str, datetime], more: int
) -> None:
    cron, now = Cron(text, change[0]), int(change[1].timestamp() * 1000) + more
    next_ = cron.after(now)
    assert next_ is not None
    assert next_ > now
    for between in (now, (now + next_) // 2, next_ - 1):
        assert cron.after(between) == next_
