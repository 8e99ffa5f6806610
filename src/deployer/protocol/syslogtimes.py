"""Times as senders of syslog write them, in epoch milliseconds. Pure; None for what is no time.

A time of RFC 3164 has neither a year nor a zone: it is taken in the zone of the master that receives it, as rsyslog
does, and in the last year in which it is at most a day ahead: what was sent on 31 December is not of next year.
"""

import re
from calendar import timegm
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

DAY_MS: Final = 86_400_000
AHEAD_MS: Final = 3 * DAY_MS // 2
"""Behind the middle of the day: what may be ahead, as clocks are wrong."""
LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_SECOND: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", re.ASCII)
_SECOND_CHARS: Final = 19
_BEHIND: Final = re.compile(r"(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):?([0-5]\d))", re.ASCII)
_BSD: Final = re.compile(
    r"(?:(\d{4}) )?([A-Z][a-z]{2})  ?(\d{1,2}) (?:(\d{4}) )?(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?", re.ASCII
)


def rfc3339(text: str) -> int | None:
    """`2026-11-28T18:22:23.123456+01:00`; also the nanoseconds that some send."""
    second = _second(text[:_SECOND_CHARS])
    if second is None:
        return None
    behind = text[_SECOND_CHARS:]
    if behind == "Z":
        return second
    if (match := _BEHIND.fullmatch(behind)) is None:
        return None
    fraction, sign, hours, minutes = match.groups()
    ms = second + (_ms(fraction) if fraction else 0)
    if sign:
        ms -= int(f"{sign}1") * (int(hours) * 60 + int(minutes)) * 60_000
    return ms if 0 <= ms <= LAST_MS else None


def bsd(text: str, received: int, offset_s: int) -> int | None:
    """`Nov 28 18:22:23`, also with a year before or behind the day, and with parts of a second.

    `received`: when it came, epoch ms; `offset_s`: by how much the zone is before UTC.
    """
    return _bsd(text, received // DAY_MS, offset_s)


@lru_cache(maxsize=4096)
def _bsd(text: str, received_day: int, offset_s: int) -> int | None:
    if (match := _BSD.fullmatch(text)) is None:
        return None
    before, month, day, behind, *clock, fraction = match.groups()
    if month not in MONTHS:
        return None
    today = date.fromordinal(date(1970, 1, 1).toordinal() + received_day).year
    year = before or behind
    years = (int(year),) if year else (today - 1, today, today + 1)
    found = [ms for one in years if (ms := _ms_of(one, MONTHS.index(month) + 1, int(day), clock)) is not None]
    if not found:
        return None
    middle = received_day * DAY_MS + DAY_MS // 2
    latest = max([ms for ms in found if ms <= middle + AHEAD_MS] or found)
    return max(0, latest - offset_s * 1000 + (_ms(fraction) if fraction else 0))


def _ms_of(year: int, month: int, day: int, clock: Sequence[str]) -> int | None:
    hour, minute, second = map(int, clock)
    try:
        ms = timegm(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timetuple()) * 1000
    except ValueError:
        return None
    return ms if ms >= 0 else None


@lru_cache(maxsize=4096)
def _second(text: str) -> int | None:
    """A date and time to the second, in UTC. Kept: what comes in one second is many messages."""
    if _SECOND.fullmatch(text) is None:
        return None
    return _ms_of(int(text[:4]), int(text[5:7]), int(text[8:10]), text[11:].split(":"))


def _ms(fraction: str) -> int:
    return int(fraction[:3].ljust(3, "0"))
