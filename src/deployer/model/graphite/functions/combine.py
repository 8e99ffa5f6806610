"""Many series become one, or one for each group."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any, Final

from deployer.model.graphite.aggregates import (
    Aggregate,
    aggregate_of,
    average,
    count,
    deviation,
    difference,
    percentile,
    present,
    spread,
)
from deployer.model.graphite.functions.declared import LIST, LISTS, NODES, Function, Param, Scope, chosen
from deployer.model.graphite.functions.names import key_of
from deployer.model.graphite.lines import Line, Lines, Values, common_tags, grid, joined
from deployer.model.graphite.problems import WrongTargetError

XFF: Final = Param("xFilesFactor", "float", required=False)


def combined(lines: Lines, name: str, aggregate: Aggregate, by: str, share: float | None = None) -> Line:
    """One line of many; a moment is None where no line has a number, or fewer than the share (0 to 1) of them."""
    its = grid(lines)
    least = max(1, math.ceil(min(max(share or 0.0, 0.0), 1.0) * len(lines)))
    values: Values = []
    for column in its.columns:
        there = present(column)
        values.append(aggregate(there) if len(there) >= least else None)
    tags = common_tags(lines)
    tags.setdefault("name", name)
    tags["aggregatedBy"] = by
    return Line(name, its.start, its.step, values, name, tags, lines[0].how)


def _series(name: str, aggregate: Aggregate, by: str, text: str) -> Function:
    def run(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
        return [combined(lines, f"{name}({joined(lines)})", aggregate, by)] if lines else []

    run.__doc__ = text
    return Function(name, "Combine", run, (LISTS,))


def aggregate(scope: Scope, lines: Lines, func: str, xFilesFactor: float | None) -> Lines:  # noqa: ARG001, N803
    """Make one series of many by an aggregation that is named."""
    short = func.removesuffix("Series")
    name = f"{short}Series({joined(lines)})"
    return [combined(lines, name, aggregate_of(func), short, xFilesFactor)] if lines else []


def group_by_node(scope: Scope, lines: Lines, nodeNum: str | int, callback: str) -> Lines:  # noqa: N803
    """Make one series for each value of a part of the path, or of a tag."""
    return group_by_nodes(scope, lines, callback, [nodeNum])


def group_by_nodes(scope: Scope, lines: Lines, callback: str, nodes: Sequence[str | int]) -> Lines:  # noqa: ARG001
    """Make one series for each combination of values of parts of the path, or of tags."""
    return _grouped(lines, callback, lambda line: key_of(line, nodes))


def group_by_tags(scope: Scope, lines: Lines, callback: str, tags: Sequence[str]) -> Lines:  # noqa: ARG001
    """Make one series for each combination of values of tags."""
    if not tags:
        raise WrongTargetError("groupByTags needs at least one tag")

    def name(line: Line) -> str:
        begin = line.tags.get("name", "") if "name" in tags else callback
        return begin + "".join(f";{tag}={line.tags.get(tag, '')}" for tag in sorted(set(tags) - {"name"}))

    made = []
    for line in _grouped(lines, callback, name):
        path, *its = line.name.split(";")
        tagged = dict(tag.partition("=")[::2] for tag in its)
        made.append(Line(line.name, line.start, line.step, line.values, line.name, line.tags | {"name": path} | tagged))
    return made


def wildcards(name: str, by: str, text: str) -> Function:
    """A function that leaves parts out of the path and combines what is then called alike."""

    def run(scope: Scope, lines: Lines, position: Sequence[int]) -> Lines:  # noqa: ARG001
        def left(line: Line) -> str:
            parts = line.name.split(".")
            out = {place % len(parts) for place in position}
            return ".".join(part for index, part in enumerate(parts) if index not in out)

        return _grouped(lines, by, left)

    run.__doc__ = text
    return Function(name, "Combine", run, (LIST, Param("position", "node", multiple=True)))


def aggregate_with_wildcards(scope: Scope, lines: Lines, func: str, position: Sequence[int]) -> Lines:
    """Leave parts out of the path and combine what is then called alike."""
    return wildcards("aggregateWithWildcards", func, "").run(scope, lines=lines, position=position)


def _grouped(lines: Lines, by: str, name: Callable[[Line], str]) -> Lines:
    function = aggregate_of(by)
    groups: dict[str, Lines] = {}
    for line in lines:
        groups.setdefault(name(line), []).append(line)
    return [combined(its, key, function, by.removesuffix("Series")) for key, its in groups.items()]


def percentile_of_series(scope: Scope, lines: Lines, n: float, interpolate: bool) -> Lines:  # noqa: ARG001, FBT001
    """Of each moment, the number below which n per cent of the series are."""
    if not lines:
        return []
    function = partial(_percentile, percent=n, interpolate=interpolate)
    return [combined(lines, f"percentileOfSeries({lines[0].path},{n:g})", function, "percentile")]


def _percentile(values: list[float], *, percent: float, interpolate: bool) -> float:
    return percentile(sorted(values), percent, interpolate=interpolate)


def divide_series(scope: Scope, dividend: Lines, divisor: Lines) -> Lines:  # noqa: ARG001
    """Divide each series by one series."""
    if len(divisor) != 1:
        if not dividend:
            return []
        raise WrongTargetError(f"divideSeries divides by one series, and there are {len(divisor)}")
    return [_divided(line, divisor[0], f"divideSeries({line.path},{divisor[0].path})") for line in dividend]


def divide_series_lists(scope: Scope, dividend: Lines, divisor: Lines) -> Lines:  # noqa: ARG001
    """Divide each series by the one at the same place of the other list."""
    if len(dividend) != len(divisor):
        raise WrongTargetError(f"divideSeriesLists was given {len(dividend)} and {len(divisor)} series")
    pairs = zip(dividend, divisor, strict=True)
    return [_divided(one, other, f"divideSeries({one.path},{other.path})") for one, other in pairs]


def as_percent(scope: Scope, lines: Lines, total: Any, nodes: Sequence[str | int]) -> Lines:  # noqa: ARG001
    """What share each series has: of the sum of all, of a number, or of other series."""
    if not lines:
        return []
    if nodes:
        return _percent_of_groups(lines, total, nodes)
    if isinstance(total, int | float):
        return [
            line.made(f"asPercent({line.name},{total:g})", [_ratio(one, total, 100.0) for one in line.values])
            for line in lines
        ]
    if total is None:
        whole = [combined(lines, f"sumSeries({joined(lines)})", sum, "sum")]
    elif not isinstance(total, list):
        raise WrongTargetError("asPercent takes a number or series as its total")
    else:
        whole = total
    if len(whole) not in {1, len(lines)}:
        raise WrongTargetError(f"asPercent was given {len(lines)} series and {len(whole)} totals")
    wholes = whole * len(lines) if len(whole) == 1 else whole
    return [_percent(one, its, its.name) for one, its in zip(lines, wholes, strict=True)]


def _percent_of_groups(lines: Lines, total: Any, nodes: Sequence[str | int]) -> Lines:
    wholes: dict[str, Lines] = {}
    for line in total if isinstance(total, list) else lines:
        wholes.setdefault(key_of(line, nodes), []).append(line)
    sums = {key: combined(its, f"sumSeries({joined(its)})", sum, "sum") for key, its in wholes.items()}
    keyed = [(line, sums.get(key_of(line, nodes))) for line in lines]
    return [_percent(line, whole, whole.name) for line, whole in keyed if whole is not None]


def _percent(line: Line, whole: Line, name: str) -> Line:
    return _divided(line, whole, f"asPercent({line.name},{name})", 100.0)


def _divided(line: Line, by: Line, name: str, factor: float = 1.0) -> Line:
    its = grid([line, by])
    values = [_ratio(one, other, factor) for one, other in its.columns]
    return Line(name, its.start, its.step, values, name, line.tags, line.how)


def _ratio(one: float | None, other: float | None, factor: float) -> float | None:
    return one / other * factor if one is not None and other else None


def group(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """Put several lists of series into one."""
    return lines


_SUM: Final = "The sum of all series."
_AVERAGE: Final = "The average of all series."
_LEAST, _MOST = "The smallest of all series.", "The largest of all series."
_SERIES: Final = (
    ("sumSeries", sum, "sum", _SUM),
    ("sum", sum, "sum", _SUM),
    ("averageSeries", average, "average", _AVERAGE),
    ("average", average, "average", _AVERAGE),
    ("avg", average, "average", _AVERAGE),
    ("minSeries", min, "min", _LEAST),
    ("min", min, "min", _LEAST),
    ("maxSeries", max, "max", _MOST),
    ("max", max, "max", _MOST),
    ("countSeries", count, "count", "How many series have a number."),
    ("diffSeries", difference, "diff", "The first series less all others."),
    ("diff", difference, "diff", "The first series less all others."),
    ("multiplySeries", math.prod, "multiply", "The product of all series."),
    ("medianSeries", median, "median", "The median of all series."),
    ("rangeOfSeries", spread, "range", "From the smallest to the largest of all series."),
    ("stddevSeries", deviation, "stddev", "The standard deviation of all series."),
)
_CALLBACK: Final = chosen("average", "callback")
TABLE: Final = (
    *(_series(*one) for one in _SERIES),
    Function("aggregate", "Combine", aggregate, (LIST, chosen(None), XFF)),
    Function("groupByNode", "Combine", group_by_node, (LIST, Param("nodeNum", "nodeOrTag"), _CALLBACK)),
    Function("groupByNodes", "Combine", group_by_nodes, (LIST, chosen(None, "callback"), NODES)),
    Function(
        "groupByTags", "Combine", group_by_tags, (LIST, chosen(None, "callback"), Param("tags", "tag", multiple=True))
    ),
    wildcards("sumSeriesWithWildcards", "sum", "Leave parts out of the path and sum what is then called alike."),
    wildcards(
        "averageSeriesWithWildcards", "average", "Leave parts out of the path; the average of what is called alike."
    ),
    wildcards(
        "multiplySeriesWithWildcards", "multiply", "Leave parts out of the path; the product of what is called alike."
    ),
    Function(
        "aggregateWithWildcards",
        "Combine",
        aggregate_with_wildcards,
        (LIST, chosen(None), Param("position", "node", multiple=True)),
    ),
    Function(
        "percentileOfSeries",
        "Combine",
        percentile_of_series,
        (LIST, Param("n", "float"), Param("interpolate", "boolean", required=False, default=False)),
    ),
    Function(
        "divideSeries", "Combine", divide_series, (Param("dividend", "seriesList"), Param("divisor", "seriesList"))
    ),
    Function(
        "divideSeriesLists",
        "Combine",
        divide_series_lists,
        (Param("dividend", "seriesList"), Param("divisor", "seriesList")),
    ),
    Function(
        "asPercent",
        "Combine",
        as_percent,
        (LIST, Param("total", "any", required=False), Param("nodes", "nodeOrTag", required=False, multiple=True)),
    ),
    Function(
        "pct",
        "Combine",
        as_percent,
        (LIST, Param("total", "any", required=False), Param("nodes", "nodeOrTag", required=False, multiple=True)),
    ),
    Function("group", "Combine", group, (LISTS,)),
)
