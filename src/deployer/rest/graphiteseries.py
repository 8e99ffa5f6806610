"""`/graphite/render`, `/graphite/metrics/…`, `/graphite/functions`, `/graphite/version`."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from deployer.errors import MalformedError, NotFoundError
from deployer.kit.clock import WallClock
from deployer.model.access import Caller
from deployer.model.graphite.budget import Budget
from deployer.model.graphite.catalog import Catalog, Found
from deployer.model.graphite.expression import parsed
from deployer.model.graphite.functions.table import FUNCTIONS, described
from deployer.model.graphite.lines import MAX_POINTS, Line, thinned
from deployer.model.graphite.problems import TooMuchError
from deployer.model.graphite.times import moment
from deployer.rest.graphite import Asked, Plain, Route
from deployer.telemetry.readings import MAX_REQUEST_POINTS, Question, Readings, Sight

VERSION: Final = "1.1.10"
"""Of Graphite, whose functions and tags Grafana may then ask for."""
MAX_TARGETS: Final = 100
MAX_TARGETS_CHARS: Final = 32_768
"""Of all targets together: reading them takes 20 ms of the reactor."""
MAX_NAMES: Final = 100_000


def sight_of(caller: Caller) -> Sight:
    """What a caller sees."""
    return Sight(caller.company, caller.agents)


class SeriesRoutes:
    """Series by name and by target."""

    def __init__(self, readings: Readings, wall: WallClock) -> None:
        self._readings = readings
        self._wall = wall
        self.routes = [
            Route("render", self.render),
            Route("metrics/find", self.find),
            Route("metrics/expand", self.expand),
            Route("metrics/index.json", self.index),
            Route("functions", self.functions),
            Route("functions/<name>", self.function),
            Route("version", self.version),
        ]

    async def render(self, caller: Caller, asked: Asked) -> Plain:
        """The points of series."""
        targets = [text for text in asked.every("target") if text.strip()]
        if len(targets) > MAX_TARGETS or sum(map(len, targets)) > MAX_TARGETS_CHARS:
            raise MalformedError(f"more than {MAX_TARGETS} targets, or {MAX_TARGETS_CHARS} characters of targets")
        kind = asked.one("format", "json")
        if kind not in {"json", "raw"}:
            raise MalformedError(f"the format {kind[:30]!r} is not served: there are json and raw")
        start, end = span(asked, self._wall)
        most = asked.number("maxDataPoints", MAX_POINTS, MAX_POINTS)
        question = Question(parsed(targets), start, end)
        finish = partial(encoded, most=most, without_nulls=asked.flag("noNullPoints")) if kind == "json" else _raw
        body = await self._readings.render(sight_of(caller), question, finish)
        return Plain(body, b"application/json" if kind == "json" else b"text/plain; charset=utf-8")

    async def find(self, caller: Caller, asked: Asked) -> Any:
        """What is at one level of the tree of paths."""
        query, kind = _query(asked), asked.one("format", "treejson")
        if kind not in {"treejson", "completer"}:
            raise MalformedError(f"the format {kind[:30]!r} is not served: there are treejson and completer")
        pattern = query if kind == "treejson" else _begun(query)
        found = await self._readings.look(sight_of(caller), lambda catalog, budget: catalog.find(pattern, budget))
        return _tree(pattern, found) if kind == "treejson" else _completed(found)

    async def expand(self, caller: Caller, asked: Asked) -> Any:
        """Paths that patterns stand for."""
        patterns = asked.every("query")
        if not 0 < len(patterns) <= MAX_TARGETS:
            raise MalformedError(f"query is given 1 to {MAX_TARGETS} times")
        leaves = asked.flag("leavesOnly")

        def work(catalog: Catalog, budget: Budget) -> dict[str, list[str]]:
            return {
                one: [found.path for found in catalog.find(one, budget) if found.leaf or not leaves] for one in patterns
            }

        found = await self._readings.look(sight_of(caller), work)
        grouped = asked.flag("groupByExpr")
        return {"results": found if grouped else sorted({path for paths in found.values() for path in paths})}

    async def index(self, caller: Caller, asked: Asked) -> list[str]:  # noqa: ARG002 (as all handlers)
        """All paths."""

        def work(catalog: Catalog, budget: Budget) -> list[str]:  # noqa: ARG001 (it grows with the names alone)
            return [name for name in catalog.names[: MAX_NAMES + 1] if ";" not in name]

        names = await self._readings.look(sight_of(caller), work)
        if len(names) > MAX_NAMES:
            raise MalformedError(f"there are more than {MAX_NAMES} series: use metrics/find")
        return names

    async def functions(self, caller: Caller, asked: Asked) -> Any:  # noqa: ARG002 (the same for all)
        """What functions there are."""
        every = {name: described(one) for name, one in sorted(FUNCTIONS.items())}
        if not asked.flag("grouped"):
            return every
        groups: dict[str, dict[str, Any]] = {}
        for name, one in every.items():
            groups.setdefault(one["group"], {})[name] = one
        return groups

    async def function(self, caller: Caller, asked: Asked) -> Any:  # noqa: ARG002 (the same for all)
        """One function."""
        if asked.part not in FUNCTIONS:
            raise NotFoundError("there is no such function")
        return described(FUNCTIONS[asked.part])

    async def version(self, caller: Caller, asked: Asked) -> str:  # noqa: ARG002 (the same for all)
        """Which Graphite this answers like."""
        return VERSION


def span(asked: Asked, wall: WallClock) -> tuple[int, int]:
    """From when until when, in epoch seconds: the last day when nothing is said."""
    now = int(wall())
    start, end = moment(asked.one("from", "-1d"), now), moment(asked.one("until", "now"), now)
    if start >= end:
        raise MalformedError("`from` is not before `until`")
    return start, end


def encoded(targets: Sequence[Sequence[Line]], most: int, *, without_nulls: bool = False) -> bytes:
    """Series with at most so many points each, as Grafana reads them; what is no finite number is null."""
    # one by one: a thread lets go of the interpreter between two lines, and not while one is written
    few = [thinned(line, most) for lines in targets for line in lines]
    if (count := sum(len(line.values) for line in few)) > MAX_REQUEST_POINTS:
        raise TooMuchError(f"the answer would have {count} points, more than {MAX_REQUEST_POINTS}: ask for fewer")
    shown = (_shown(line, without_nulls) for line in few)
    return b"[%b]" % b",".join(map(_encode, shown))


def _shown(line: Line, without_nulls: bool) -> dict[str, Any]:  # noqa: FBT001 (its one caller has it by name)
    points = zip(line.values, range(line.start, line.end, line.step), strict=True)
    shown = [point for point in points if point[0] is not None] if without_nulls else list(points)
    return {"target": line.name, "tags": line.tags, "datapoints": shown}


def _raw(targets: Sequence[Sequence[Line]]) -> bytes:
    lines = [
        f"{line.name},{line.start},{line.end},{line.step}|{','.join(map(str, line.values))}\n"
        for lines in targets
        for line in lines
    ]
    return "".join(lines).encode()


def _query(asked: Asked) -> str:
    query = asked.one("query", "")
    if not query:
        raise MalformedError("query is needed")
    return query


def _begun(query: str) -> str:
    """A pattern for what somebody has begun to write."""
    return query if query.endswith("*") else f"{query}*"


def _tree(pattern: str, found: Sequence[Found]) -> list[dict[str, Any]]:
    """Each name once, below the pattern as it was asked for: its wildcards stay."""
    front = pattern.rpartition(".")[0]
    named: dict[str, tuple[bool, bool]] = {}
    for one in found:
        leaf, branch = named.get(one.text, (False, False))
        named[one.text] = leaf or one.leaf, branch or one.branch
    return [
        {
            "text": name,
            "id": f"{front}.{name}" if front else name,
            "allowChildren": int(branch),
            "expandable": int(branch),
            "leaf": int(leaf),
            "context": {},
        }
        for name, (leaf, branch) in sorted(named.items())
    ]


def _completed(found: Sequence[Found]) -> dict[str, Any]:
    return {
        "metrics": [
            {"path": one.path if one.leaf else f"{one.path}.", "name": one.text, "is_leaf": str(int(one.leaf))}
            for one in found
        ]
    }


_encode = msgspec.json.Encoder().encode
