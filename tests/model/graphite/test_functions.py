"""What functions make of series: names as Graphite writes them, and values."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.catalog import Catalog
from deployer.model.graphite.evaluate import Need, evaluate, needs
from deployer.model.graphite.expression import parse
from deployer.model.graphite.functions.declared import SERIES_KINDS
from deployer.model.graphite.functions.table import FUNCTIONS, described
from deployer.model.graphite.lines import Line, thinned
from deployer.model.graphite.problems import TooMuchError, WrongTargetError
from deployer.model.series import Series
from support.memory_source import MemorySource

START = 1_700_000_040
"""A multiple of 60."""
N = None


def series(name: str, *values: float | None, step: int = 10, start: int = START, how: Any = "average") -> Series:
    return Series(name, start, step, list(values), how)


SOURCE = MemorySource(
    {
        "acme": [
            series("a.x.cpu", 1, 2, 3, 4, 5, 6),
            series("a.y.cpu", 10, N, 30, N, N, 60),
            series("a.z.cpu", N, N, N, N, N, N),
            series("a.x.mem", 100, 100, 50, 50, 200, 100, how="last"),
            series("b.slow", 7, 9, step=30, how="max"),
            series("c.count", 0, 10, 5, 8, N, 20),
            series("d.neg", -4, 4, 0, 16, 9, 1),
            series("old", *range(60), start=START - 600),
            series("t;dc=n;host=h1", 1, 1, 1, 1, 1, 1),
            series("t;dc=n;host=h2", 2, 2, 2, 2, 2, 2),
            series("t;dc=s;host=h3", 4, 4, 4, 4, 4, 4),
        ]
    }
)
CATALOG = Catalog(SOURCE.listed("acme"))


def render(target: str, start: int = START, end: int = START + 60, budget: Budget | None = None) -> list[Line]:
    budget = budget or Budget()
    node = parse(target)
    known: dict[Need, Sequence[Series]] = {}
    while missing := [need for need in needs(node, start, end, known, Budget()) if need not in known]:
        for need in missing:
            found = CATALOG.tagged(need.conditions, budget) if need.conditions else CATALOG.series(need.pattern, budget)
            known[need] = SOURCE.read("acme", found, need.start, need.end, 1000)
    return evaluate(node, start, end, known, budget)


def shown(lines: list[Line]) -> list[tuple[str, list[float | None]]]:
    return [(line.name, [N if one is None else round(one, 6) for one in line.values]) for line in lines]


X = ("a.x.cpu", [1, 2, 3, 4, 5, 6])
Y = ("a.y.cpu", [10, N, 30, N, N, 60])
Z = ("a.z.cpu", [N] * 6)


@pytest.mark.parametrize(
    ("target", "result"),
    [
        ("a.*.cpu", [X, Y, Z]),
        ("nothing.*", []),
        ("sumSeries(a.*.cpu)", [("sumSeries(a.*.cpu)", [11, 2, 33, 4, 5, 66])]),
        ("sum(a.x.cpu, a.y.cpu)", [("sum(a.x.cpu,a.y.cpu)", [11, 2, 33, 4, 5, 66])]),
        ("sumSeries(a.z.cpu)", [("sumSeries(a.z.cpu)", [N] * 6)]),
        ("sumSeries(nothing)", []),
        ("averageSeries(a.{x,y}.cpu)", [("averageSeries(a.{x,y}.cpu)", [5.5, 2, 16.5, 4, 5, 33])]),
        ("minSeries(a.*.cpu)", [("minSeries(a.*.cpu)", [1, 2, 3, 4, 5, 6])]),
        ("maxSeries(a.*.cpu)", [("maxSeries(a.*.cpu)", [10, 2, 30, 4, 5, 60])]),
        ("countSeries(a.*.cpu)", [("countSeries(a.*.cpu)", [2, 1, 2, 1, 1, 2])]),
        ("diffSeries(a.y.cpu,a.x.cpu)", [("diffSeries(a.x.cpu,a.y.cpu)", [9, 2, 27, 4, 5, 54])]),
        ("multiplySeries(a.x.cpu,a.y.cpu)", [("multiplySeries(a.x.cpu,a.y.cpu)", [10, 2, 90, 4, 5, 360])]),
        ("aggregate(a.*.cpu,'sum',1)", [("sumSeries(a.*.cpu)", [N] * 6)]),
        ("aggregate(a.{x,y}.cpu,'max',xFilesFactor=1)", [("maxSeries(a.{x,y}.cpu)", [10, N, 30, N, N, 60])]),
        ("sumSeries(a.x.cpu,b.slow)", [("sumSeries(a.x.cpu,b.slow)", [9, 14])]),
        ("groupByNode(a.*.*,2,'sum')", [("cpu", [11, 2, 33, 4, 5, 66]), ("mem", [100, 100, 50, 50, 200, 100])]),
        ("groupByNode(a.x.*,-1,'sumSeries')", [("cpu", X[1]), ("mem", [100, 100, 50, 50, 200, 100])]),
        ("groupByNodes(a.x.*,'max',0,1)", [("a.x", [100, 100, 50, 50, 200, 100])]),
        ("sumSeriesWithWildcards(a.*.cpu,1)", [("a.cpu", [11, 2, 33, 4, 5, 66])]),
        ("seriesByTag('name=t','dc=n')", [("t;dc=n;host=h1", [1] * 6), ("t;dc=n;host=h2", [2] * 6)]),
        ("groupByTags(seriesByTag('name=t'),'sum','dc')", [("sum;dc=n", [3] * 6), ("sum;dc=s", [4] * 6)]),
        ("groupByTags(seriesByTag('name=t'),'sum','name','dc')", [("t;dc=n", [3] * 6), ("t;dc=s", [4] * 6)]),
        ("groupByNode(seriesByTag('name=t'),'dc','avg')", [("n", [1.5] * 6), ("s", [4] * 6)]),
        ("aliasByTags(seriesByTag('dc=s'),'host','name')", [("h3.t", [4] * 6)]),
        ("sumSeries(seriesByTag('name=t'))", [("sumSeries(seriesByTag('name=t'))", [7] * 6)]),
        ("alias(a.x.cpu,'my cpu')", [("my cpu", X[1])]),
        (r'aliasSub(a.x.cpu,"(^.*$)","\1 A")', [("a.x.cpu A", X[1])]),
        (r'aliasSub(sumSeries(a.*.cpu), "(^.*$)", "\1 A")', [("sumSeries(a.*.cpu) A", [11, 2, 33, 4, 5, 66])]),
        ("aliasByNode(a.x.cpu,1)", [("x", X[1])]),
        ("aliasByNode(a.x.cpu,1,-1)", [("x.cpu", X[1])]),
        ("aliasByNode(scale(sumSeries(a.x.cpu),1),2,0)", [("cpu.a", X[1])]),
        ("aliasByMetric(a.x.cpu)", [("cpu", X[1])]),
        ("a.x.cpu | scale(2) | alias('b')", [("b", [2, 4, 6, 8, 10, 12])]),
        ("scale(a.y.cpu,0.1)", [("scale(a.y.cpu,0.1)", [1, N, 3, N, N, 6])]),
        ("offset(a.y.cpu,-10)", [("offset(a.y.cpu,-10)", [0, N, 20, N, N, 50])]),
        ("absolute(d.neg)", [("absolute(d.neg)", [4, 4, 0, 16, 9, 1])]),
        ("invert(d.neg)", [("invert(d.neg)", [-0.25, 0.25, N, 0.0625, 0.111111, 1])]),
        ("squareRoot(d.neg)", [("squareRoot(d.neg)", [N, 2, 0, 4, 3, 1])]),
        ("pow(d.neg,2)", [("pow(d.neg,2)", [16, 16, 0, 256, 81, 1])]),
        ("pow(d.neg,9999)", [("pow(d.neg,9999)", [N, N, 0, N, N, 1])]),
        ("logarithm(a.x.cpu,2)", [("log(a.x.cpu,2)", [0, 1, 1.584963, 2, 2.321928, 2.584963])]),
        ("derivative(c.count)", [("derivative(c.count)", [N, 10, -5, 3, N, N])]),
        ("nonNegativeDerivative(c.count)", [("nonNegativeDerivative(c.count)", [N, 10, N, 3, N, N])]),
        ("nonNegativeDerivative(c.count,10)", [("nonNegativeDerivative(c.count)", [N, 10, 6, 3, N, N])]),
        ("perSecond(c.count)", [("perSecond(c.count)", [N, 1, N, 0.3, N, N])]),
        ("integral(a.y.cpu)", [("integral(a.y.cpu)", [10, N, 40, N, N, 100])]),
        ("scaleToSeconds(a.x.cpu,60)", [("scaleToSeconds(a.x.cpu,60)", [6, 12, 18, 24, 30, 36])]),
        ("keepLastValue(a.y.cpu)", [("keepLastValue(a.y.cpu)", [10, 10, 30, 30, 30, 60])]),
        ("keepLastValue(a.y.cpu,1)", [("keepLastValue(a.y.cpu)", [10, 10, 30, N, N, 60])]),
        ("interpolate(a.y.cpu)", [("interpolate(a.y.cpu)", [10, 20, 30, 40, 50, 60])]),
        ("transformNull(a.y.cpu,-1)", [("transformNull(a.y.cpu,-1)", [10, -1, 30, -1, -1, 60])]),
        ("isNonNull(a.y.cpu)", [("isNonNull(a.y.cpu)", [1, 0, 1, 0, 0, 1])]),
        ("removeAboveValue(a.x.cpu,3)", [("removeAboveValue(a.x.cpu, 3)", [1, 2, 3, N, N, N])]),
        ("removeBelowValue(a.x.cpu,3)", [("removeBelowValue(a.x.cpu, 3)", [N, N, 3, 4, 5, 6])]),
        ("movingAverage(old,3)", [("movingAverage(old,3)", [58, 58.5, 59, N, N, N])]),
        ("timeShift(old,'1min')", [('timeShift(old, "-1min")', [54, 55, 56, 57, 58, 59])]),
        ("summarize(a.x.cpu,'30s')", [('summarize(a.x.cpu, "30s", "sum")', [6, 15])]),
        ("summarize(a.x.cpu,'30s','max')", [('summarize(a.x.cpu, "30s", "max")', [3, 6])]),
        ("summarize(a.x.cpu,'1s')", [('summarize(a.x.cpu, "1s", "sum")', [1, 2, 3, 4, 5, 6])]),
        ("hitcount(a.x.cpu,'1min')", [("hitcount(a.x.cpu,'1min')", [210])]),
        ("delay(a.x.cpu,2)", [("delay(a.x.cpu,2)", [N, N, 1, 2, 3, 4])]),
        ("asPercent(a.y.cpu,100)", [("asPercent(a.y.cpu,100)", Y[1])]),
        ("asPercent(a.x.cpu,a.x.mem)", [("asPercent(a.x.cpu,a.x.mem)", [1, 2, 6, 8, 2.5, 6])]),
        ("asPercent(a.x.c*)", [("asPercent(a.x.cpu,sumSeries(a.x.c*))", [100] * 6)]),
        ("divideSeries(a.x.cpu,a.x.mem)", [("divideSeries(a.x.cpu,a.x.mem)", [0.01, 0.02, 0.06, 0.08, 0.025, 0.06])]),
        ("sortBy(a.*.cpu,'max',true)", [Y, X, Z]),
        ("sortByName(a.*.cpu,reverse=true)", [Z, Y, X]),
        ("sortByMaxima(a.*.cpu)", [Y, X, Z]),
        ("sortByMinima(a.*.cpu)", [X, Y, Z]),
        ("limit(a.*.cpu,1)", [X]),
        ("highestMax(a.*.cpu)", [Y]),
        ("highestCurrent(a.*.cpu,2)", [Y, X]),
        ("highest(a.*.cpu,1,'average')", [Y]),
        ("lowestAverage(a.*.cpu,1)", [X]),
        ("exclude(a.*.cpu,'[xy]')", [Z]),
        ("grep(a.*.cpu,'^a.x')", [X]),
        ("averageAbove(a.*.cpu,10)", [Y]),
        ("maximumBelow(a.*.cpu,10)", [X]),
        ("currentAbove(a.*.cpu,5)", [X, Y]),
        ("removeEmptySeries(a.*.cpu)", [X, Y]),
        ("percentileOfSeries(a.{x,y}.cpu,50)", [("percentileOfSeries(a.{x,y}.cpu,50)", [10, 2, 30, 4, 5, 60])]),
        ("nPercentile(a.x.cpu,50)", [("nPercentile(a.x.cpu,50)", [4] * 6)]),
        ("group(a.x.cpu,a.y.cpu)", [X, Y]),
        ("consolidateBy(a.x.cpu,'max')", [('consolidateBy(a.x.cpu,"max")', X[1])]),
        ("constantLine(100)", [("100", [100, 100, 100])]),
        ("threshold(5,'high','red')", [("high", [5, 5, 5])]),
        ("color(a.x.cpu,'red')", [X]),
        ("fallbackSeries(nothing,a.x.cpu)", [X]),
        ("a.x.cpu|minMax()", [("minMax(a.x.cpu)", [0, 0.2, 0.4, 0.6, 0.8, 1])]),
    ],
)  # fmt: skip
def test_a_function_makes_what_graphite_makes(target: str, result: Any) -> None:
    assert shown(render(target)) == result


def test_a_moving_window_sees_what_was_before_the_asked_time() -> None:
    begin, end = START - 300, START - 240
    its = [30, 31, 32, 33, 34, 35]
    assert shown(render("old", begin, end)) == [("old", its)]
    for window in ("3", "'30s'"):
        (line,) = render(f"movingAverage(old,{window})", begin, end)
        assert (line.start, line.values) == (begin, [one - 2 for one in its])
        (line,) = render(f"movingMedian(old,{window})", begin, end)
        assert line.values == [one - 2 for one in its]
        (line,) = render(f"movingMax(old,{window})", begin, end)
        assert line.values == [one - 1 for one in its]
        (line,) = render(f"movingSum(old,{window})", begin, end)
        assert line.values == [3 * (one - 2) for one in its]
    (line,) = render("movingAverage(movingAverage(old,3),3)", begin, end)
    assert line.values == [one - 4 for one in its]
    (line,) = render("movingAverage(timeShift(old,'1min'),1)", begin, end)
    assert line.values == [one - 7 for one in its]


def test_shifted_series_stand_at_the_asked_time() -> None:
    (line,) = render("timeShift(old,'10min')", START, START + 60)
    assert (line.start, line.values) == (START, [0, 1, 2, 3, 4, 5])


def test_points_become_fewer_in_the_way_of_the_series() -> None:
    line = Line("a", 100, 10, [1, 2, 3, N, 5, 6, 7, 8], "a", {}, "average")
    few = thinned(line, 4)
    assert (few.start, few.step, few.values) == (100, 20, [1.5, 3, 5.5, 7.5])
    most = thinned(Line("a", 110, 10, [1, 2, 3, N, 5, 6, 7, 8], "a", {}, "max"), 3)
    assert (most.start, most.step, most.values) == (90, 30, [1, 5, 8]) or len(most.values) <= 3
    assert thinned(line, 8) is line
    assert thinned(line, 1).values == [32 / 7]


@given(st.integers(1, 50), st.integers(0, 100), st.integers(1, 60))
def test_never_more_points_than_were_asked_for(most: int, start: int, count: int) -> None:
    line = Line("a", start * 10, 10, [1.0] * count, "a", {}, "sum")
    few = thinned(line, most)
    assert len(few.values) <= most
    assert sum(one or 0 for one in few.values) == count
    assert few.start <= line.start < few.start + few.step
    assert few.end >= line.end


@pytest.mark.parametrize(
    "target",
    [
        "nope(a)", "sumSeries()", "sumSeries(1)", "scale(a.x.cpu)", "scale(a.x.cpu,'x')", "scale(a.x.cpu,1,2)",
        "scale(a.x.cpu,factor=1,factr=2)", "scale(a.x.cpu,1,factor=2)", "alias(a.x.cpu,b)", "1", "'x'",
        "aggregate(a.x.cpu,'nope')",
        "aliasSub(a.x.cpu,'(','')", "aliasSub(a.x.cpu,'(a)\\1','')", "summarize(a.x.cpu,'0s')",
        "summarize(a.x.cpu,'x')", "movingAverage(a.x.cpu,0)", "movingAverage(a.x.cpu,-5)",
        "movingAverage(a.x.cpu,99999)",
        "randomWalk('a',0)", "randomWalk('a',1.5)", "divideSeries(a.x.cpu,a.*.cpu)", "seriesByTag('a!=b')",
        "seriesByTag()",
        "log(a.x.cpu,1)", "filterSeries(a.x.cpu,'max','~',1)", "sortBy(a.x.cpu,'max','maybe')", "scale(a.x.cpu,none)",
        "limit(a.x.cpu,1e300)", "timeSlice(a.x.cpu,'x')", "groupByTags(a.x.cpu,'sum')", "asPercent(a.x.cpu,'x')",
        "asPercent(a.x.cpu,true,1.5)",
    ],
)  # fmt: skip
def test_what_a_function_does_not_take_is_refused(target: str) -> None:
    with pytest.raises(WrongTargetError):
        render(target)


@pytest.mark.parametrize(
    "target", ["randomWalk('a',1)", "summarize(constantLine(1),'1s')", "movingMax(randomWalk('a',30000),11000)"]
)
def test_what_would_have_too_many_points_or_cost_too_much_is_refused(target: str) -> None:
    with pytest.raises(WrongTargetError, match=r"points|too long"):
        render(target, 1_000_000_000, 1_000_000_000 + 10 * 365 * 86400)


def test_nested_windows_are_planned_in_a_time_that_does_not_double_each_time() -> None:
    target = "movingAverage(" * 30 + "old" + ",2)" * 30
    assert len(render(target)) == 1


def test_every_function_has_a_description_that_grafana_reads() -> None:
    for function in FUNCTIONS.values():
        told = described(function)
        assert told["description"].endswith("."), told
        assert told["function"].startswith(function.name + "(")
        assert all({"name", "type", "required"} <= set(param) for param in told["params"])
    assert described(FUNCTIONS["sumSeries"])["params"] == [
        {"name": "seriesLists", "type": "seriesLists", "required": True, "multiple": True}
    ]


ISSUE = [
    "alias",
    "aliasSub",
    "aliasByNode",
    "aliasByTags",
    "aliasByMetric",
    "seriesByTag",
    "groupByTags",
    "groupByNode",
    "groupByNodes",
    "sumSeries",
    "averageSeries",
    "minSeries",
    "maxSeries",
    "countSeries",
    "diffSeries",
    "divideSeries",
    "multiplySeries",
    "asPercent",
    "scale",
    "offset",
    "absolute",
    "invert",
    "derivative",
    "nonNegativeDerivative",
    "perSecond",
    "integral",
    "movingAverage",
    "movingMedian",
    "summarize",
    "hitcount",
    "smartSummarize",
    "keepLastValue",
    "transformNull",
    "timeShift",
    "constantLine",
    "threshold",
    "limit",
    "highestMax",
    "highestAverage",
    "highestCurrent",
    "lowestAverage",
    "lowestCurrent",
    "sortBy",
    "sortByName",
    "sortByMaxima",
    "removeAboveValue",
    "removeBelowValue",
    "exclude",
    "grep",
    "averageAbove",
    "maximumAbove",
    "currentAbove",
    "percentileOfSeries",
    "nPercentile",
    "consolidateBy",
    "interpolate",
    "isNonNull",
    "randomWalk",
    "group",
    "highest",
    "lowest",
    "sum",
    "average",
    "min",
    "max",
]


def test_the_functions_of_the_first_set_are_there() -> None:
    assert set(ISSUE) - set(FUNCTIONS) == set()


SERIES = ["a.*.cpu", "a.x.mem", "b.slow", "d.neg", "c.count", "nothing", "seriesByTag('name=t')", "old"]
ARGUMENTS = {
    "float": "2.5", "integer": "3", "intOrInf": "2", "node": "1", "nodeOrTag": "1", "boolean": "true", "string": "'a'",
    "interval": "'1min'", "intOrInterval": "4", "date": "'now'", "aggFunc": "'max'", "tag": "'dc'", "any": "5",
}  # fmt: skip
NEED_FITTING_SERIES = {"divideSeries", "divideSeriesLists"}


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"seriesByTag", *NEED_FITTING_SERIES}))
def test_every_function_works_on_any_series(name: str) -> None:
    params = FUNCTIONS[name].params
    for first, second in product(SERIES, SERIES):
        its = iter([first, second])
        args = [next(its) if one.type in SERIES_KINDS else ARGUMENTS[one.type] for one in params]
        if name == "filterSeries":
            args[2] = "'>'"
        for count in range(sum(one.required for one in params), len(args) + 1):
            lines = render(f"{name}({','.join(args[:count])})")
            assert all(line.step > 0 for line in lines)


def test_the_documentation_names_every_function() -> None:
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    assert [name for name in FUNCTIONS if f"`{name}`" not in page] == []


def test_planning_costs_what_it_looks_at() -> None:
    target = "group(" + ",".join(f"a{number}" for number in range(100)) + ")"
    for _ in range(5):
        target = f"movingAverage({target},5)"
    with pytest.raises(TooMuchError):
        list(needs(parse(target), START, START + 60, {}, Budget(400)))


@pytest.mark.parametrize(
    "target", ["nPercentile(a,-1e308)", "removeAbovePercentile(a,1e308)", "aggregate(a,'last',-1e308)"]
)
def test_numbers_out_of_all_bounds_are_no_error(target: str) -> None:
    render(target)
