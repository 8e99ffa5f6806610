"""Times on the command line: how long, and until when."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from typing import Final

import click

FOREVER: Final = -1
_SECONDS: Final[Mapping[str, int]] = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN: Final = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,6})?)([smhd]?)", re.ASCII)
_DAYS: Final[Mapping[str, int]] = {"today": 0, "yesterday": 1}
_NO_SPAN: Final = "{!r} is no time as 30, 90s, 5m, 2h or 1d"


def seconds(text: str) -> float | None:
    """`90`, `90s`, `5m`, `2h`, `1d`, `1.5h`: whole seconds as an int; None when it is something else. Pure."""
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    value = float(match[1]) * _SECONDS[match[2]]
    return int(value) if value.is_integer() else value


class Span(click.ParamType[float]):
    """Seconds, or a number with s, m, h or d behind it."""

    name = "TIME"

    def __init__(self, least: int = 0, *, fractions: bool = False, forever: bool = False) -> None:
        """At least so many seconds; `fractions` of them too; `forever`: -1 as well."""
        self._least = least
        self._fractions = fractions
        self._forever = forever

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """In seconds."""
        text = str(value)
        if self._forever and text == str(FOREVER):
            return FOREVER
        found = seconds(text)
        if found is None:
            self.fail(_NO_SPAN.format(text) + (", nor -1" if self._forever else ""), param, ctx)
        if not (self._fractions or isinstance(found, int)):
            self.fail(f"{text!r} is not a whole number of seconds", param, ctx)
        if found < self._least:
            self.fail(f"{text!r} is less than {self._least} s", param, ctx)
        return found


class Moment(click.ParamType[str]):
    """A time as of ISO 8601, ours where it names no zone; or how long from now on."""

    name = "TIME"

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        """`wall`: epoch seconds."""
        self._wall = wall

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In UTC, as the API takes it."""
        span = seconds(value)
        try:
            at = datetime.fromisoformat(value) if span is None else datetime.fromtimestamp(self._wall() + span, UTC)
            return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{value!r} is neither a time as 2027-01-01T00:00:00Z nor one from now on as 5m, 2h, 1d", param, ctx
            )


class Past(click.ParamType[str]):
    """A time as of ISO 8601, ours where it names no zone, or of today where it names no day; or before now, as -15m."""

    name = "TIME"

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        """`wall`: epoch seconds."""
        self._wall = wall

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In UTC, as the API takes it."""
        span = seconds(value.removeprefix("-"))
        try:
            at = self._moment(value) if span is None else datetime.fromtimestamp(self._wall() - span, UTC)
            return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is neither a time as 2026-11-23T00:00:00Z or 14:30 nor one as -15m", param, ctx)

    def _moment(self, value: str) -> datetime:
        today = datetime.fromtimestamp(self._wall()).astimezone().date()
        if value in _DAYS:
            return datetime.combine(today - timedelta(days=_DAYS[value]), clock_time())
        if ":" in value and "-" not in value and "T" not in value:
            return datetime.combine(today, clock_time.fromisoformat(value))
        return datetime.fromisoformat(value)
