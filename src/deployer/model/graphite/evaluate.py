"""What a target needs to be read, and what becomes of it.

Functions that look further than the asked time (`movingAverage`, `timeShift`) are why a target is planned first: a need
names series and a time. How long a window of so many points is, only the series' step tells, so who answers plans again
with what was read, until nothing more is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from deployer.model.graphite.binding import Bound, bind, function_of, takes_series
from deployer.model.graphite.budget import Budget
from deployer.model.graphite.expression import Call, Literal, Node, Path
from deployer.model.graphite.functions.declared import Function, Reach, Scope
from deployer.model.graphite.functions.origins import BY_TAG
from deployer.model.graphite.lines import MAX_LINES, Line, Lines, line_of
from deployer.model.graphite.problems import TooMuchError, WrongTargetError
from deployer.model.series import Series

USUAL_STEP_S: Final = 60
"""Of a series that is not there."""


class Need(Struct, frozen=True):
    """Series to be read: by a pattern, or by the conditions of `seriesByTag`; from and until when in epoch seconds."""

    pattern: str
    conditions: tuple[str, ...]
    start: int
    end: int


Known = Mapping[Need, Sequence[Series]]
"""What has been read."""


def needs(node: Node, start: int, end: int, known: Known, budget: Budget) -> Iterator[Need]:
    """What is needed to evaluate a tree, as far as can be told by what is known."""
    budget.spend(1)
    need = _need(node, start, end)
    if need is not None:
        yield need
    elif isinstance(node, Call):
        function = function_of(node)
        bound = bind(function, node)
        begin, stop, open_needs = _reached(function, bound, (start, end), known, budget)
        yield from open_needs
        for one in _series_of(function, bound):
            yield from needs(one, begin, stop, known, budget)


def evaluate(node: Node, start: int, end: int, known: Known, budget: Budget) -> Lines:
    """The series of a tree. Every need of it must be known."""
    need = _need(node, start, end)
    if need is not None:
        found = known[need]
        budget.spend(len(found))
        return [line_of(series, _text(node)) for series in found]
    if not isinstance(node, Call):
        raise WrongTargetError("a target is series, not a number or a string")
    function = function_of(node)
    bound = bind(function, node)
    begin, stop, _ = _reached(function, bound, (start, end), known, budget)
    arguments: dict[str, Any] = dict(bound)
    for param in function.params:
        if takes_series(param, bound[param.name]):
            lists = [evaluate(one, begin, stop, known, budget) for one in bound[param.name]]
            arguments[param.name] = [line for lines in lists for line in lines]
            _spend(arguments[param.name], budget)
    made = function.run(Scope(start, end, budget), **arguments)
    _spend(made, budget)
    return made


def _spend(lines: Sequence[Line], budget: Budget) -> None:
    if len(lines) > MAX_LINES:
        raise TooMuchError(f"a target makes {len(lines)} series, more than {MAX_LINES}")
    budget.spend(sum(len(line.values) for line in lines) // 8 + len(lines) * 4)


def _need(node: Node, start: int, end: int) -> Need | None:
    if isinstance(node, Path):
        return Need(node.text, (), start, end)
    if isinstance(node, Call) and node.name == BY_TAG:
        return Need("", tuple(bind(function_of(node), node)["tagExpressions"]), start, end)
    return None


def _text(node: Node) -> str:
    if isinstance(node, Path):
        return node.text
    if isinstance(node, Call):
        return f"{node.name}({','.join(map(_text, node.args))})"
    return repr(node.value) if isinstance(node, Literal) else ""


def _series_of(function: Function, bound: Bound) -> Iterator[Node]:
    for param in function.params:
        if takes_series(param, bound[param.name]):
            yield from bound[param.name]


def _reached(
    function: Function, bound: Bound, span: tuple[int, int], known: Known, budget: Budget
) -> tuple[int, int, Sequence[Need]]:
    """From and until when the arguments are needed; and what has to be read before that can be told."""
    start, end = span
    reach = function.reach(bound) if function.reach else Reach()
    begin, stop = start + reach.later_s - reach.before_s, end + reach.later_s
    if not reach.before_points:
        return max(0, begin), max(0, stop), ()
    first = [need for one in _series_of(function, bound) for need in _leaves(one, start, end)]
    budget.spend(len(first))
    if missing := [need for need in first if need not in known]:
        return max(0, begin), max(0, stop), missing
    step = max((series.step for need in first for series in known[need]), default=USUAL_STEP_S)
    return max(0, begin - reach.before_points * step), stop, first


def _leaves(node: Node, start: int, end: int) -> Iterator[Need]:
    """All series of a tree at one time, wherever its functions look."""
    need = _need(node, start, end)
    if need is not None:
        yield need
    elif isinstance(node, Call):
        for one in (*node.args, *(value for _, value in node.named)):
            yield from _leaves(one, start, end)
