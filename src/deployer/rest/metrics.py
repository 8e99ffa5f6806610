"""Numbers over time: which series there are, and their points, by Graphite's expressions (docs/metrics.md)."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from deployer.errors import MalformedError
from deployer.kit.clock import WallClock
from deployer.model.access import Caller, Permission
from deployer.model.graphite import places
from deployer.model.graphite.expression import parsed
from deployer.model.graphite.lines import Line, Lines, thinned
from deployer.model.graphite.problems import TooMuchError, WrongTargetError
from deployer.model.graphite.times import moment
from deployer.model.series import MAX_SERIES_CHARS
from deployer.protocol.times import iso
from deployer.rest.endpoint import endpoint
from deployer.rest.graphiteseries import MAX_TARGETS, sight_of
from deployer.rest.paging import PageQuery
from deployer.stores.agents import Agents
from deployer.telemetry.readings import Question, Readings

MAX_TARGET_CHARS: Final = 2000
"""Less than a form of Graphite may have: a URL is no longer than 8 kB."""
MAX_POINTS: Final = 11_000
MAX_ANSWER_POINTS: Final = 200_000
_ISO: Final = "T"

Time = Annotated[str, Meta(min_length=1, max_length=64, description="ISO 8601, epoch seconds, or as -6h, now-1d")]
Expression = Annotated[str, Meta(min_length=1, max_length=MAX_TARGET_CHARS)]


class FindQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Paths that fit a pattern, whose `* ? [a-z] {a,b}` stay within a part."""

    query: Annotated[str, Meta(min_length=1, max_length=MAX_SERIES_CHARS)] = "*"


class MetricsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Expressions, a time, and about how many points a series may have.

    With `group_by` series of agents are put together by where their hosts stand or what these are for, in the way that
    `how` says; a series of no agent belongs to `-`.
    """

    target: Annotated[list[Expression], Meta(max_length=MAX_TARGETS)] = []
    since: Time = field(name="from", default="-1h")
    until: Time = field(name="to", default="now")
    points: Annotated[int, Meta(ge=1, le=MAX_POINTS)] = 300
    group_by: places.GroupBy | None = None
    how: places.GroupHow = "average"


class MetricPath(Struct, frozen=True):
    """A place in the tree of paths: `series`, one ends here; `more`, there are longer ones."""

    path: str
    name: str
    series: bool
    more: bool


class MetricPathPage(Struct, frozen=True):
    """Some of the paths, and where the next ones begin."""

    items: list[MetricPath]
    next: str | None


class MetricSeries(Struct, frozen=True, kw_only=True):
    """Numbers: `values[i]` is that of the `step` seconds from `epoch` (ms) + i * step on; null where there is none."""

    target: str
    name: str
    tags: dict[str, str]
    at: str
    epoch: int
    step: int
    values: list[float | None]


class MetricsAnswer(Struct, frozen=True):
    """The series of all targets, in order; from when until when was asked."""

    since: str = field(name="from")
    until: str = field(name="to")
    items: list[MetricSeries]


class MetricRoutes:
    """`/api/v1/metrics`."""

    def __init__(self, readings: Readings, agents: Agents, wall: WallClock) -> None:
        self._readings = readings
        self._agents = agents
        self._wall = wall

    @endpoint("GET", "/api/v1/metrics/find", needs=Permission.READ, returns=MetricPathPage, query=FindQuery)
    async def find(self, caller: Caller, query: FindQuery) -> MetricPathPage:
        """Which series there are, level by level."""
        after = "" if query.cursor is None else _path(query.cursor)
        try:
            found = await self._readings.look(
                sight_of(caller), lambda catalog, budget: catalog.find(query.query, budget)
            )
        except WrongTargetError as error:
            raise MalformedError(str(error)) from None
        left = [one for one in found if one.path > after]
        page = left[: query.limit]
        items = [MetricPath(one.path, one.text, one.leaf, one.branch) for one in page]
        return MetricPathPage(items, _cursor(page[-1].path) if len(left) > len(page) else None)

    @endpoint("GET", "/api/v1/metrics", needs=Permission.READ, returns=MetricsAnswer, query=MetricsQuery)
    async def query(self, caller: Caller, query: MetricsQuery) -> MetricsAnswer:
        """The points of series.

        A target is a path, with wildcards or not, or an expression in Graphite's functions over such, as
        `aliasByNode(agents.1.*.host.cpu, 2)`. There are only series of the caller's company and agents.
        """
        try:
            return await self._answer(caller, query)
        except WrongTargetError as error:
            raise MalformedError(str(error)) from None

    async def _answer(self, caller: Caller, query: MetricsQuery) -> MetricsAnswer:
        now = int(self._wall())
        start, end = _time("from", query.since, now), _time("to", query.until, now)
        if start >= end:
            raise MalformedError("in the query: `from` is not before `to`")
        question = Question(parsed(query.target), start, end)
        if query.group_by is None:
            made = await self._readings.render(sight_of(caller), question, partial(_thinned, most=query.points))
        else:
            whole = await self._readings.render(sight_of(caller), question, list)
            found = await self._agents.those(caller.company, places.agents_among(whole))
            traits = {one.id: one.traits for one in found if caller.sees(one.id)}
            grouped = partial(places.grouped, traits=traits, by=query.group_by, how=query.how)
            made = await self._readings.worked(
                sight_of(caller), whole, lambda lines: _thinned(map(grouped, lines), query.points)
            )
        _require_few(made)
        items = [_series(text, line) for text, lines in zip(query.target, made, strict=True) for line in lines]
        return MetricsAnswer(iso(start * 1000), iso(end * 1000), items)


def _thinned(targets: "Sequence[Lines] | map[Lines]", most: int) -> list[Lines]:
    return [[thinned(line, most) for line in lines] for lines in targets]


def _require_few(targets: Sequence[Lines]) -> None:
    count = sum(len(line.values) for lines in targets for line in lines)
    if count > MAX_ANSWER_POINTS:
        raise TooMuchError(
            f"the answer would have {count} points, more than {MAX_ANSWER_POINTS}: ask for fewer `points`"
        )


def _series(target: str, line: Line) -> MetricSeries:
    epoch = line.start * 1000
    return MetricSeries(
        target=target,
        name=line.name,
        tags=line.tags,
        at=iso(epoch),
        epoch=epoch,
        step=line.step,
        values=line.values,
    )


def _time(name: str, text: str, now: int) -> int:
    if _ISO not in text.upper() or not text[:1].isdigit():
        return moment(text, now)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedError(f"in the query: there is no such time as {name}={text}") from None
    if found.tzinfo is None or found.year < 1970:  # noqa: PLR2004 (the epoch)
        raise MalformedError(f"in the query: {name} needs its offset, as Z, and is not before 1970")
    return int(found.timestamp())


def _cursor(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).rstrip(b"=").decode()


def _path(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise MalformedError("this cursor was not made here") from None
