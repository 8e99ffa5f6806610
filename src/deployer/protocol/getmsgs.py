"""Arguments of `get_msgs` and `del_msgs`: which messages of an agent's own store (seed 001)."""

import math
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from deployer.protocol.ids import Name, TaskId
from deployer.protocol.levels import parse_named
from deployer.protocol.levelsets import Expression

MS_FROM: Final = 10**11
"""Numbers from here on are epoch ms, smaller ones seconds."""

LATEST_MS: Final = 253_402_300_800_000
"""The year 10000, which ISO 8601 does not reach."""

Time = int | float | Annotated[str, Meta(max_length=64)]


class FilterArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which messages; what is left out is any. Times: seconds, ms (>= 10^11) or ISO 8601, both inclusive."""

    jobid: TaskId | None = None
    timefrom: Time | None = None
    timeto: Time | None = None
    levels: Expression | None = None
    domain: Name | None = None
    name: Name | None = None

    def __post_init__(self) -> None:
        """Refuse what only the values together tell."""
        times = [_named_ms(name, value) for name, value in (("timefrom", self.timefrom), ("timeto", self.timeto))]
        if times[0] is not None and times[1] is not None and times[0] > times[1]:
            raise ValueError("`timefrom` is later than `timeto`")
        if self.levels is not None:
            parse_named("levels", self.levels)


class GetMsgsArgs(FilterArgs, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A page of them: the newest first unless `order` is `asc`; `cursor` is the `next` of the page before."""

    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000
    cursor: Annotated[str, Meta(pattern=r"^[0-9]{1,19}\Z")] | None = None

    def __post_init__(self) -> None:
        """Refuse what only the values together tell."""
        FilterArgs.__post_init__(self)


def epoch_ms(value: Time) -> int:
    """A time as epoch ms; ValueError for what is none."""
    if isinstance(value, str):
        return _iso_ms(value)
    if not math.isfinite(value) or value < 0:
        raise ValueError("a time is a number from 0 on, or ISO 8601")
    ms = int(value if value >= MS_FROM else value * 1000)
    if ms >= LATEST_MS:
        raise ValueError("a time before the year 10000 is meant")
    return ms


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is neither a number nor ISO 8601") from None
    ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if ms < 0:
        raise ValueError("a time from 1970 on is meant")
    return ms


def _named_ms(name: str, value: Time | None) -> int | None:
    try:
        return None if value is None else epoch_ms(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"`{name}`: {error}") from None
