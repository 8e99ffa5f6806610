"""Each number becomes another, by itself or with the one before it."""

import math
from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from deployer.model.graphite.aggregates import aggregate_of, percentile, present
from deployer.model.graphite.functions.declared import FACTOR, LIST, Function, Param, Scope, chosen
from deployer.model.graphite.lines import Line, Lines, Values
from deployer.model.graphite.problems import WrongTargetError

One = Callable[[float], float | None]


def each(values: Values, function: One) -> Values:
    """What a function makes of each number; None where that is none (a root of -1, 10 to the power of 1000)."""
    return [None if value is None else _safe(function, value) for value in values]


def _safe(function: One, value: float) -> float | None:
    try:
        made = function(value)
    except (ArithmeticError, ValueError):
        return None
    return made if made is None or (isinstance(made, float | int) and math.isfinite(made)) else None


def scale(scope: Scope, lines: Lines, factor: float) -> Lines:  # noqa: ARG001
    """Multiply each number."""
    return [
        line.made(f"scale({line.name},{factor:g})", [None if one is None else one * factor for one in line.values])
        for line in lines
    ]


def scale_to_seconds(scope: Scope, lines: Lines, seconds: float) -> Lines:  # noqa: ARG001
    """Multiply each number as if each point were so many seconds long."""
    return [
        line.made(
            f"scaleToSeconds({line.name},{seconds:g})",
            [None if one is None else one * seconds / line.step for one in line.values],
        )
        for line in lines
    ]


def offset(scope: Scope, lines: Lines, factor: float) -> Lines:  # noqa: ARG001
    """Add to each number."""
    return [
        line.made(f"offset({line.name},{factor:g})", [None if one is None else one + factor for one in line.values])
        for line in lines
    ]


def offset_to_zero(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """Subtract the smallest number of the series from each."""
    made = []
    for line in lines:
        least = min(present(line.values), default=0.0)
        made.append(
            line.made(f"offsetToZero({line.name})", [None if one is None else one - least for one in line.values])
        )
    return made


def power(scope: Scope, lines: Lines, factor: float) -> Lines:  # noqa: ARG001
    """Raise each number to a power."""
    return [
        line.made(f"pow({line.name},{factor:g})", each(line.values, lambda one: math.pow(one, factor)))
        for line in lines
    ]


def logarithm(scope: Scope, lines: Lines, base: float) -> Lines:  # noqa: ARG001
    """The logarithm of each number."""
    if base <= 0 or base == 1:
        raise WrongTargetError("a logarithm has a base above 0 that is not 1")
    return [
        line.made(f"log({line.name},{base:g})", each(line.values, lambda one: math.log(one, base))) for line in lines
    ]


def rounded(scope: Scope, lines: Lines, precision: int) -> Lines:  # noqa: ARG001
    """Round each number to so many digits behind the point."""
    digits = max(-300, min(300, precision))
    return [
        line.made(f"round({line.name},{precision})", each(line.values, lambda one: round(one, digits)))
        for line in lines
    ]


def min_max(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """Each number between 0 and 1: 0 the smallest of the series, 1 the largest."""
    made = []
    for line in lines:
        numbers = present(line.values)
        least, most = min(numbers, default=0.0), max(numbers, default=0.0)
        width = most - least
        made.append(
            line.made(
                f"minMax({line.name})",
                [None if one is None else ((one - least) / width if width else 0.0) for one in line.values],
            )
        )
    return made


def is_non_null(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """1 where there is a number, 0 where there is none."""
    return [line.made(f"isNonNull({line.name})", [float(one is not None) for one in line.values]) for line in lines]


def transform_null(scope: Scope, lines: Lines, default: float) -> Lines:  # noqa: ARG001
    """Put a number where there is none."""
    return [
        line.made(f"transformNull({line.name},{default:g})", [default if one is None else one for one in line.values])
        for line in lines
    ]


def _differences(values: Values) -> Iterator[float | None]:
    before: float | None = None
    for value in values:
        yield None if value is None or before is None else value - before
        before = value


def derivative(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """How much more each number is than the one before."""
    return [line.made(f"derivative({line.name})", list(_differences(line.values))) for line in lines]


def growth(values: Values, most: float | None, least: float | None) -> Iterator[float | None]:
    """How much a counter has grown. It may begin anew: at `least` after it has been at `most`, if these are known."""
    before: float | None = None
    for value in values:
        if value is None or before is None or (most is not None and value > most):
            yield None
        elif value >= before:
            yield value - before
        elif most is not None:
            yield most - before + (value - (least or 0.0)) + 1
        elif least is not None and value >= least:
            yield value - least
        else:
            yield None
        before = value


def non_negative_derivative(
    scope: Scope,  # noqa: ARG001
    lines: Lines,
    maxValue: float | None,  # noqa: N803
    minValue: float | None,  # noqa: N803
) -> Lines:
    """How much a counter has grown; None where it began anew."""
    return [
        line.made(f"nonNegativeDerivative({line.name})", list(growth(line.values, maxValue, minValue)))
        for line in lines
    ]


def per_second(scope: Scope, lines: Lines, maxValue: float | None, minValue: float | None) -> Lines:  # noqa: ARG001, N803
    """How much a counter has grown in each second."""
    return [
        line.made(
            f"perSecond({line.name})",
            [None if one is None else one / line.step for one in growth(line.values, maxValue, minValue)],
        )
        for line in lines
    ]


def integral(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """The sum of all numbers up to each."""
    return [line.made(f"integral({line.name})", list(_sums(line.values))) for line in lines]


def _sums(values: Values) -> Iterator[float | None]:
    total = 0.0
    for value in values:
        total += value or 0.0
        yield None if value is None else total


def changed(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """1 where a number is another than the one before, else 0."""
    return [line.made(f"changed({line.name})", list(_changes(line.values))) for line in lines]


def _changes(values: Values) -> Iterator[float]:
    before: float | None = None
    for value in values:
        yield float(value is not None and before is not None and value != before)
        before = before if value is None else value


def keep_last_value(scope: Scope, lines: Lines, limit: float) -> Lines:  # noqa: ARG001
    """Repeat the last number where there is none, in gaps of at most so many points."""
    return [
        line.made(f"keepLastValue({line.name})", _filled(line.values, limit, lambda before, _, __: before))
        for line in lines
    ]


def interpolate(scope: Scope, lines: Lines, limit: float) -> Lines:  # noqa: ARG001
    """Draw a straight line over gaps of at most so many points."""

    def between(before: float, behind: float | None, share: float) -> float | None:
        return None if behind is None else before + (behind - before) * share

    return [line.made(f"interpolate({line.name})", _filled(line.values, limit, between)) for line in lines]


def _filled(values: Values, limit: float, fill: Callable[[float, float | None, float], float | None]) -> Values:
    """Gaps filled by what is before and behind them, and how far (0 to 1) a point is from the one to the other."""
    made, begin = list(values), 0
    while begin < len(made):
        if made[begin] is not None or begin == 0:
            begin += 1
            continue
        end = begin
        while end < len(made) and values[end] is None:
            end += 1
        before, behind = values[begin - 1], values[end] if end < len(made) else None
        if before is not None and end - begin <= limit:
            for place in range(begin, end):
                made[place] = fill(before, behind, (place - begin + 1) / (end - begin + 1))
        begin = end + 1
    return made


def remove_above(scope: Scope, lines: Lines, n: float) -> Lines:  # noqa: ARG001
    """Take numbers above n out."""
    return [_kept(line, f"removeAboveValue({line.name}, {n:g})", lambda one: one <= n) for line in lines]


def remove_below(scope: Scope, lines: Lines, n: float) -> Lines:  # noqa: ARG001
    """Take numbers below n out."""
    return [_kept(line, f"removeBelowValue({line.name}, {n:g})", lambda one: one >= n) for line in lines]


def remove_above_percentile(scope: Scope, lines: Lines, n: float) -> Lines:  # noqa: ARG001
    """Take numbers above the nth percentile of their series out."""
    made = []
    for line in lines:
        most = _bound(line, n)
        values: Values = [one if one is not None and one <= most else None for one in line.values]
        made.append(line.made(f"removeAbovePercentile({line.name}, {n:g})", values))
    return made


def remove_below_percentile(scope: Scope, lines: Lines, n: float) -> Lines:  # noqa: ARG001
    """Take numbers below the nth percentile of their series out."""
    made = []
    for line in lines:
        least = _bound(line, n)
        values: Values = [one if one is not None and one >= least else None for one in line.values]
        made.append(line.made(f"removeBelowPercentile({line.name}, {n:g})", values))
    return made


def _bound(line: Line, n: float) -> float:
    numbers = sorted(present(line.values))
    return percentile(numbers, n) if numbers else 0.0


def _kept(line: Line, name: str, keep: Callable[[float], bool]) -> Line:
    return line.made(name, [one if one is not None and keep(one) else None for one in line.values])


def consolidate_by(scope: Scope, lines: Lines, consolidationFunc: str) -> Lines:  # noqa: ARG001, N803
    """How points become fewer when there are more than can be drawn."""
    aggregate_of(consolidationFunc)
    return [
        replace(line, name=f'consolidateBy({line.name},"{consolidationFunc}")', how=consolidationFunc) for line in lines
    ]


def cumulative(scope: Scope, lines: Lines) -> Lines:
    """Have points summed up when there are more than can be drawn."""
    return consolidate_by(scope, lines, "sum")


def _simple(name: str, function: One, text: str) -> Function:
    def run(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
        return [line.made(f"{name}({line.name})", each(line.values, function)) for line in lines]

    run.__doc__ = text
    return Function(name, "Transform", run, (LIST,))


def _transform(function: Callable[..., Lines], name: str, *params: Param) -> Function:
    return Function(name, "Transform", function, (LIST, *params))


_MAX: Final = Param("maxValue", "float", required=False)
_MIN: Final = Param("minValue", "float", required=False)
_GAP: Final = Param("limit", "intOrInf", required=False, default=math.inf)
_N: Final = Param("n", "float")
TABLE: Final = (
    _transform(scale, "scale", FACTOR),
    _transform(scale_to_seconds, "scaleToSeconds", Param("seconds", "integer")),
    _transform(offset, "offset", FACTOR),
    _transform(offset, "add", Param("factor", "float")),
    _transform(offset_to_zero, "offsetToZero"),
    _transform(power, "pow", FACTOR),
    _transform(logarithm, "logarithm", Param("base", "float", required=False, default=10)),
    _transform(logarithm, "log", Param("base", "float", required=False, default=10)),
    _transform(rounded, "round", Param("precision", "integer", required=False, default=0)),
    _transform(min_max, "minMax"),
    _simple("absolute", abs, "Each number without its sign."),
    _simple("invert", lambda one: 1 / one, "One divided by each number."),
    _simple("squareRoot", math.sqrt, "The root of each number."),
    _simple("exp", math.exp, "e to the power of each number."),
    _transform(is_non_null, "isNonNull"),
    _transform(transform_null, "transformNull", Param("default", "float", required=False, default=0)),
    _transform(derivative, "derivative"),
    _transform(non_negative_derivative, "nonNegativeDerivative", _MAX, _MIN),
    _transform(per_second, "perSecond", _MAX, _MIN),
    _transform(integral, "integral"),
    _transform(changed, "changed"),
    _transform(keep_last_value, "keepLastValue", _GAP),
    _transform(interpolate, "interpolate", _GAP),
    Function("removeAboveValue", "Filter Data", remove_above, (LIST, _N)),
    Function("removeBelowValue", "Filter Data", remove_below, (LIST, _N)),
    Function("removeAbovePercentile", "Filter Data", remove_above_percentile, (LIST, _N)),
    Function("removeBelowPercentile", "Filter Data", remove_below_percentile, (LIST, _N)),
    Function("consolidateBy", "Special", consolidate_by, (LIST, chosen(None, "consolidationFunc"))),
    Function("cumulative", "Special", cumulative, (LIST,)),
)
