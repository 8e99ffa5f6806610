"""Some of the series: the highest, those that fit, all in another order."""

import re
from collections.abc import Callable
from typing import Final

from deployer.model.graphite.aggregates import aggregate_of, of_present, percentile, present
from deployer.model.graphite.functions.declared import COUNT, LIST, Function, Param, Scope, chosen
from deployer.model.graphite.lines import Line, Lines
from deployer.model.graphite.problems import WrongTargetError
from deployer.model.graphite.regex import compiled

_DIGITS: Final = re.compile(r"([0-9]+)", re.ASCII)
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
}


def _of(line: Line, func: str) -> float | None:
    return of_present(aggregate_of(func), line.values)


def _sorted(lines: Lines, func: str, *, descending: bool) -> Lines:
    """Those without any number come last."""
    ranked = [(_of(line, func), line) for line in lines]
    there = [(value, line) for value, line in ranked if value is not None]
    there.sort(key=lambda one: one[0], reverse=descending)
    return [line for _, line in there] + [line for value, line in ranked if value is None]


def sort_by(scope: Scope, lines: Lines, func: str, reverse: bool) -> Lines:  # noqa: ARG001, FBT001
    """Sort series by what an aggregation makes of each; the smallest comes first, or with `reverse` the largest."""
    return _sorted(lines, func, descending=reverse)


def sort_by_name(scope: Scope, lines: Lines, natural: bool, reverse: bool) -> Lines:  # noqa: ARG001, FBT001
    """Sort series by name; `natural` takes digits for numbers."""
    return sorted(lines, key=(lambda line: _natural(line.name)) if natural else _plain, reverse=reverse)


def _plain(line: Line) -> list[tuple[int, int, str]]:
    return [(0, 0, line.name)]


def _natural(name: str) -> list[tuple[int, int, str]]:
    pieces = _DIGITS.split(name)
    return [(1, int(piece[:18]), "") if piece.isdigit() else (0, 0, piece) for piece in pieces]


def limit(scope: Scope, lines: Lines, n: int) -> Lines:  # noqa: ARG001
    """The first n series."""
    return lines[: max(0, n)]


def highest(scope: Scope, lines: Lines, n: int, func: str) -> Lines:  # noqa: ARG001
    """The n series of which an aggregation makes most."""
    return _sorted(lines, func, descending=True)[: max(0, n)]


def lowest(scope: Scope, lines: Lines, n: int, func: str) -> Lines:  # noqa: ARG001
    """The n series of which an aggregation makes least."""
    return _sorted(lines, func, descending=False)[: max(0, n)]


def grep(scope: Scope, lines: Lines, pattern: str) -> Lines:
    """Those in whose names a regular expression is found."""
    regex = compiled(pattern)
    return [line for line in lines if regex.fits(line.name, scope.budget)]


def exclude(scope: Scope, lines: Lines, pattern: str) -> Lines:
    """Those in whose names a regular expression is not found."""
    regex = compiled(pattern)
    return [line for line in lines if not regex.fits(line.name, scope.budget)]


def filter_series(scope: Scope, lines: Lines, func: str, operator: str, threshold: float) -> Lines:  # noqa: ARG001
    """Those of which an aggregation makes what compares so to a number."""
    if operator not in _OPERATORS:
        raise WrongTargetError(f"no operator is {operator[:10]!r}: there are {' '.join(_OPERATORS)}")
    compare = _OPERATORS[operator]
    ranked = [(_of(line, func), line) for line in lines]
    return [line for value, line in ranked if value is not None and compare(value, threshold)]


def remove_empty(scope: Scope, lines: Lines, xFilesFactor: float) -> Lines:  # noqa: ARG001, N803
    """Those that have numbers, at least the share (0 to 1) of their points."""
    return [
        line
        for line in lines
        if (numbers := len(present(line.values))) and numbers >= (xFilesFactor or 0) * len(line.values)
    ]


def unique(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
    """The first series of each name."""
    return list({line.name: line for line in reversed(lines)}.values())[::-1]


def fallback(scope: Scope, lines: Lines, fallback: Lines) -> Lines:  # noqa: ARG001
    """The series, or others when there are none."""
    return lines or fallback


def most_deviant(scope: Scope, lines: Lines, n: int) -> Lines:  # noqa: ARG001
    """The n series that deviate most from their own average."""
    return _sorted(lines, "stddev", descending=True)[: max(0, n)]


def n_percentile(scope: Scope, lines: Lines, n: float) -> Lines:  # noqa: ARG001
    """Of each series, the number below which n per cent of its points are."""
    made = []
    for line in lines:
        if numbers := sorted(present(line.values)):
            value = percentile(numbers, n)
            made.append(line.made(f"nPercentile({line.name},{n:g})", [value] * len(line.values)))
    return made


def _ranked(name: str, func: str, *, most: bool) -> Function:
    def run(scope: Scope, lines: Lines, n: int) -> Lines:
        return (highest if most else lowest)(scope, lines, n, func)

    run.__doc__ = f"The n series with the {'highest' if most else 'lowest'} {func}."
    return Function(name, "Filter Series", run, (LIST, Param("n", "integer", required=False, default=1)))


def _compared(name: str, func: str, operator: str) -> Function:
    def run(scope: Scope, lines: Lines, n: float) -> Lines:
        return filter_series(scope, lines, func, operator, n)

    run.__doc__ = f"Series whose {func} is {operator} n."
    return Function(name, "Filter Series", run, (LIST, Param("n", "float")))


def _sorting(name: str, func: str, *, descending: bool) -> Function:
    def run(scope: Scope, lines: Lines) -> Lines:  # noqa: ARG001
        return _sorted(lines, func, descending=descending)

    run.__doc__ = f"Sort series by their {func}."
    return Function(name, "Sorting", run, (LIST,))


def _flag(name: str) -> Param:
    return Param(name, "boolean", required=False, default=False)


_ONE: Final = Param("n", "integer", required=False, default=1)
TABLE: Final = (
    Function("sortBy", "Sorting", sort_by, (LIST, chosen("average"), _flag("reverse"))),
    Function("sortByName", "Sorting", sort_by_name, (LIST, _flag("natural"), _flag("reverse"))),
    _sorting("sortByMaxima", "max", descending=True),
    _sorting("sortByMinima", "min", descending=False),
    _sorting("sortByTotal", "sum", descending=True),
    Function("limit", "Filter Series", limit, (LIST, COUNT)),
    Function("highest", "Filter Series", highest, (LIST, _ONE, chosen("average"))),
    Function("lowest", "Filter Series", lowest, (LIST, _ONE, chosen("average"))),
    *(
        _ranked(f"{side}{name}", func, most=side == "highest")
        for side in ("highest", "lowest")
        for name, func in (("Max", "max"), ("Min", "min"), ("Average", "average"), ("Current", "current"))
    ),
    *(
        _compared(f"{name}{side}", func, ">" if side == "Above" else "<=")
        for side in ("Above", "Below")
        for name, func in (("average", "average"), ("maximum", "max"), ("minimum", "min"), ("current", "current"))
    ),
    Function("grep", "Filter Series", grep, (LIST, Param("pattern", "string"))),
    Function("exclude", "Filter Series", exclude, (LIST, Param("pattern", "string"))),
    Function(
        "filterSeries",
        "Filter Series",
        filter_series,
        (LIST, chosen(None), Param("operator", "string", options=tuple(_OPERATORS)), Param("threshold", "float")),
    ),
    Function(
        "removeEmptySeries", "Filter Series", remove_empty, (LIST, Param("xFilesFactor", "float", required=False))
    ),
    Function("unique", "Filter Series", unique, (LIST,)),
    Function("fallbackSeries", "Special", fallback, (LIST, Param("fallback", "seriesList"))),
    Function("mostDeviant", "Filter Series", most_deviant, (LIST, COUNT)),
    Function("nPercentile", "Calculate", n_percentile, (LIST, Param("n", "float"))),
)
