"""Times as people and programs read them: ISO 8601 in UTC with milliseconds and `Z`."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms_of(moment: datetime) -> int:
    """A time with an offset as epoch milliseconds; also those at the ends of the calendar, which UTC does not have."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=1024)
def iso(epoch_ms: int) -> str:
    """Epoch milliseconds as `2026-11-23T01:02:03.456Z`; the year 9999 is the last, 1970 the first."""
    seconds, ms = divmod(min(max(epoch_ms, 0), 253_402_300_799_999), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def iso_or_none(epoch_ms: int | None) -> str | None:
    """The same for a time that may not have come yet."""
    return None if epoch_ms is None else iso(epoch_ms)
