"""Moments as Graphite's `from` and `until` have them, in UTC: `1700000000`, `-6h`, `now-1d`, `12:00_20261128`.

A moment is a reference and offsets behind it: the reference is now where there is none, a number of epoch seconds, or a
day with a time of day. A month has 30 days and a year 365 (Graphite's own rule).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from deployer.model.graphite.problems import WrongTargetError

MAX_CHARS: Final = 64
LATEST: Final = 253_402_300_799
"""The last second of the year 9999."""
DAY_S: Final = 86_400

_UNITS: Final = (
    ("seconds", 1),
    ("secs", 1),
    ("minutes", 60),
    ("mins", 60),
    ("hours", 3600),
    ("days", DAY_S),
    ("weeks", 7 * DAY_S),
    ("months", 30 * DAY_S),
    ("years", 365 * DAY_S),
)
"""A unit may be cut short; of `m` the first one counts."""
_DAYS: Final = {"today": 0, "yesterday": -1, "tomorrow": 1}
_TIMES: Final = {"midnight": 0, "noon": 12 * 3600, "teatime": 16 * 3600}
_WEEK: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EPOCH: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{0,9})?", re.ASCII)
_DATE: Final = re.compile(r"(?:19|20)[0-9]{6}", re.ASCII)
_SLASHED: Final = re.compile(r"([0-9]{2})/([0-9]{2})/((?:[0-9]{2})?[0-9]{2})", re.ASCII)
_CLOCK: Final = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(am|pm)?", re.ASCII)
_OFFSETS: Final = re.compile(r"(?:[+-]?[0-9]+[a-z]+)+", re.ASCII)
_OFFSET: Final = re.compile(r"([+-]?)([0-9]{1,9})([a-z]+)", re.ASCII)


def moment(text: str, now: int) -> int:
    """The epoch second that a text means. ValueError for what is no moment between 1970 and 9999."""
    found = _moment(text, now)
    if not 0 <= found <= LATEST:
        raise _wrong(text)
    return found


def seconds(text: str) -> int:
    """How long an interval like `1h` or `-30min` is; with its sign. ValueError for what is none."""
    its = text.strip().lower()
    if len(its) > MAX_CHARS or not _OFFSETS.fullmatch(its):
        raise WrongTargetError(f"{text[:MAX_CHARS]!r} is no interval: write a number and a unit, as in 30s, 5min, 1h")
    return sum(_offsets(its))


def _moment(text: str, now: int) -> int:
    its = text.strip().lower().replace(" ", "")
    if not its or len(its) > MAX_CHARS:
        raise _wrong(text)
    if _EPOCH.fullmatch(its) and not _is_date(its):
        return int(float(its))
    reference, sign, offset = _divided(its)
    if sign and not _OFFSETS.fullmatch(sign + offset):
        raise _wrong(text)
    try:
        return _reference(reference, now) + sum(_offsets(sign + offset))
    except ValueError:
        raise _wrong(text) from None


def _divided(text: str) -> tuple[str, str, str]:
    for index, char in enumerate(text):
        if char in "+-":
            return text[:index], char, text[index + 1 :]
    return text, "", ""


def _offsets(text: str) -> Iterator[int]:
    direction = 1
    for sign, count, unit in _OFFSET.findall(text):
        if sign:
            direction = -1 if sign == "-" else 1
        yield direction * int(count) * _unit(unit)


def _unit(text: str) -> int:
    for name, length in _UNITS:
        if name.startswith(text):
            return length
    raise WrongTargetError(f"{text[:MAX_CHARS]!r} is no unit of time: there are s, min, h, d, w, mon, y")


def _reference(text: str, now: int) -> int:
    """Epoch seconds of what stands before the offsets."""
    if text in {"", "now"}:
        return now
    if _EPOCH.fullmatch(text) and not _is_date(text):
        return int(float(text))
    midnight = now - now % DAY_S
    clock, _, day = text.rpartition("_")
    if clock:
        return _day(day, midnight) + _clock(clock)
    if text in _TIMES or _CLOCK.fullmatch(text):
        return midnight + _clock(text)
    for name, seconds_ in _TIMES.items():
        if text.startswith(name):
            return _day(text.removeprefix(name), midnight) + seconds_
    # Graphite has a day without a time begin now
    return _day(text, midnight) + (0 if _is_date(text) or _SLASHED.fullmatch(text) else now % DAY_S)


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None


def _day(text: str, midnight: int) -> int:
    if text in _DAYS:
        return midnight + _DAYS[text] * DAY_S
    if _is_date(text):
        return _epoch(int(text[:4]), int(text[4:6]), int(text[6:]))
    if slashed := _SLASHED.fullmatch(text):
        month, day, year = map(int, slashed.groups())
        return _epoch(year if year > 99 else 2000 + year, month, day)  # noqa: PLR2004 (two digits)
    for index, name in enumerate(_WEEK):
        if len(text) >= 3 and name.startswith(text):  # noqa: PLR2004 (`mon`)
            passed = (datetime.fromtimestamp(midnight, UTC).weekday() - index) % 7
            return midnight - passed * DAY_S
    raise WrongTargetError("no day")


def _epoch(year: int, month: int, day: int) -> int:
    return (datetime(year, month, day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def _clock(text: str) -> int:
    if text in _TIMES:
        return _TIMES[text]
    found = _CLOCK.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        raise WrongTargetError("no time of day")
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        hour = hour % 12 + (12 if found[3] == "pm" else 0)
    if hour > 23 or minute > 59:  # noqa: PLR2004 (a clock's)
        raise WrongTargetError("no time of day")
    return hour * 3600 + minute * 60


def _wrong(text: str) -> WrongTargetError:
    return WrongTargetError(
        f"{text[:MAX_CHARS]!r} is no time: write epoch seconds, an offset as -6h, now-1d, 12:00_20261128 or midnight"
    )
