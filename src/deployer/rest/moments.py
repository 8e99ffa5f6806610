"""Times in queries: ISO 8601 with an offset, as in answers."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from deployer.errors import MalformedError

Moment = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})\Z",
        description="a time as 2026-11-23T01:02:03Z",
        extra_json_schema={"format": "date-time"},
    ),
]
"""A text, since msgspec would also take a number for a time where it reads a query."""


When = Annotated[
    str,
    Meta(
        pattern=(
            r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
            r"|-[0-9]{1,9}[smhdw])\Z"
        ),
        description="a time as 2026-11-23T01:02:03Z, or before now, as -15m (s, m, h, d, w)",
    ),
]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def epoch_ms(name: str, text: str | None, now: float) -> int | None:
    """A `When` in epoch ms, never before 1970; ValueError when there is no such time. `now`: epoch seconds."""
    if text is None:
        return None
    if text.startswith("-"):
        return max(0, int(now - int(text[1:-1]) * _UNITS[text[-1]])) * 1000
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError):
        raise ValueError(f"there is no such time as {name}={text}") from None


class Span(Struct, frozen=True):
    """From when (inclusive) until when (exclusive); None: no bound."""

    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, query: Any) -> "Span":
        """That of a query with `since` and `until` (`from` and `to`); MalformedError when there is no such time."""
        since, until = _moment("from", query.since), _moment("to", query.until)
        if since is not None and until is not None and since > until:
            raise MalformedError("in the query: `from` is behind `to`")
        return cls(since, until)

    def holds(self, at: datetime) -> bool:
        """Whether a time is in it."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def _moment(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise MalformedError(f"in the query: there is no such time as {name}={text}") from None
