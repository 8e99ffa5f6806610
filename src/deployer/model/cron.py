"""When a cron expression fires in a time zone, daylight saving included. Pure; instants are epoch ms.

`cronsim` reads the expression and knows the calendar; it is given times of the clock on the wall only. What these are
in real time is decided here, as Debian's cron does. An expression whose minute or hour begins with `*` follows real
time: a local time that is skipped does not come, one that is repeated comes twice. Any other names times of day: one
that is skipped comes at the moment at which the clock jumps, one that is repeated comes at its first occurrence.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MAX_CHARS: Final = 200
FIELDS: Final = 5
NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LAST_MS: Final = 7_258_118_400_000
"""The year 2200: nothing fires from then on."""

_SOON: Final = timedelta(hours=3)
"""No clock is put back by more."""
_SECOND: Final = timedelta(seconds=1)
_NAMES: Final = ("minute", "hour", "day-of-month", "month", "day-of-week")
_DAYS: Final = frozenset(map(str, range(1, 32)))
_OF_A_HOST: Final = frozenset({"localtime", "posixrules", "Factory"})


class BadCron(ValueError):  # noqa: N818 (it says what it is)
    """What is no expression, or never comes."""


class BadZone(ValueError):  # noqa: N818 (it says what it is)
    """What is no time zone."""


class Cron:
    """An expression of five fields, or one of the words for some, in a time zone of IANA's."""

    def __init__(self, text: str, zone: str = "UTC") -> None:
        """BadCron, BadZone."""
        self._fields = _fields(text)
        self._zone = _zone(zone)
        minute, hour = self._fields.split()[:2]
        self._follows_time = minute.startswith("*") or hour.startswith("*")

    def after(self, instant: int) -> int | None:
        """The first time that it fires after an instant; None when that is never, or not before the year 2200."""
        if not 0 <= instant < LAST_MS:
            return None
        start = datetime.fromtimestamp(instant // 1000, UTC)
        found = self._in_time(start) if self._follows_time else self._of_day(start)
        ms = None if found is None else int(found.timestamp()) * 1000
        return ms if ms is not None and ms < LAST_MS else None

    def _of_day(self, start: datetime) -> datetime | None:
        wall = self._next(self._wall(start))
        while wall is not None:
            found = self._instant(wall)
            if self._wall(found) != wall:
                found = self._change(found - _SOON, found)
            if found > start:
                return found
            wall = self._next(wall)  # it came when it was this time for the first time
        return None

    def _in_time(self, start: datetime) -> datetime | None:
        before = self._wall(start)
        wall = self._next(before)
        soon = start + (_SOON if wall is None else min(wall - before, _SOON))
        if self._offset(soon) != self._offset(start):
            wall = self._next(self._wall(self._change(start, soon)) - _SECOND)
        while wall is not None:
            both = [self._instant(wall, fold) for fold in (0, 1)]
            if found := [one for one in both if one > start and self._wall(one) == wall]:
                return min(found)
            wall = self._next(wall)
        return None

    def _next(self, wall: datetime) -> datetime | None:
        return next(CronSim(self._fields, wall), None)

    def _wall(self, instant: datetime) -> datetime:
        return instant.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _instant(self, wall: datetime, fold: int = 0) -> datetime:
        return wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)

    def _offset(self, instant: datetime) -> timedelta | None:
        return instant.astimezone(self._zone).utcoffset()

    def _change(self, low: datetime, high: datetime) -> datetime:
        """The first second with another offset than that of `low`."""
        offset = self._offset(low)
        while high - low > _SECOND:
            middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
            low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
        return high


@lru_cache(maxsize=1000)
def _fields(text: str) -> str:
    fields = NICKNAMES.get(text.strip().lower(), text)
    count = len(fields.split())
    if len(text) > MAX_CHARS or not text.isascii():
        raise BadCron(f"an expression has at most {MAX_CHARS} characters of ASCII")
    if fields.startswith("@"):
        raise BadCron(f"{text[:20]!r} is none of {', '.join(NICKNAMES)}")
    if count != FIELDS:
        raise BadCron(f"an expression has five fields: minute, hour, day, month, day of the week; this one has {count}")
    try:
        first = next(CronSim(fields, datetime(2000, 1, 1)), None)  # noqa: DTZ001 (a clock on the wall)
    except CronSimError as error:
        raise BadCron(_explained(str(error), fields)) from None
    if first is None:
        raise BadCron("no day is like this: it would never fire")
    return fields


def _explained(message: str, fields: str) -> str:
    """Of which field that is said; cronsim has one word for what cannot be read and for days that no month has."""
    name = message.removeprefix("Bad ")
    text = dict(zip(_NAMES, fields.split(), strict=True)).get(name, "")
    if name == "day-of-month" and all(part in _DAYS for part in text.split(",")):
        return f"no month that is named has day {text}: it would never fire"
    return f"{text[:40]!r} cannot be the {name.replace('-', ' ')}"


@lru_cache(maxsize=1000)
def _zone(name: str) -> ZoneInfo:
    if name not in _OF_A_HOST:
        with contextlib.suppress(ValueError, OSError, LookupError):  # ZoneInfoNotFoundError is a LookupError
            return ZoneInfo(name)
    raise BadZone(f"{name[:64]!r} is no time zone: use a name as Europe/Berlin or UTC")
