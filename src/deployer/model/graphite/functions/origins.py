"""Series that come from nowhere, and those that are found by tag."""

import random
from typing import Final

from deployer.model.graphite.functions.declared import Function, Param, Scope
from deployer.model.graphite.lines import Line, Lines, Values, require_points
from deployer.model.graphite.problems import WrongTargetError

BY_TAG: Final = "seriesByTag"
_POINTS: Final = 3


def constant_line(scope: Scope, value: float) -> Lines:
    """The same number all the time."""
    return [_level(scope, f"{value:g}", value)]


def threshold(scope: Scope, value: float, label: str | None, color: str | None) -> Lines:  # noqa: ARG001
    """The same number all the time, with a name."""
    return [_level(scope, label or f"{value:g}", value)]


def _level(scope: Scope, name: str, value: float) -> Line:
    """Begin, middle and end, as Graphite has it."""
    step = max(1, (scope.end - scope.start) // (_POINTS - 1))
    return Line(name, scope.start, step, [value] * _POINTS, name, {"name": name})


def random_walk(scope: Scope, name: str, step: int) -> Lines:
    """Made-up numbers, each a little more or less than the one before: the same ones for the same name and time."""
    if step < 1:
        raise WrongTargetError("a step is at least a second long")
    count = max(1, (scope.end - scope.start) // step)
    require_points(count)
    scope.budget.spend(count)
    chance = random.Random(f"{name}{scope.start}")  # noqa: S311 (nobody may rely on it)
    values: Values = [0.0]
    for _ in range(count - 1):
        values.append((values[-1] or 0.0) + chance.random() - 0.5)
    return [Line(name, scope.start, step, values, name, {"name": name})]


def by_tag(scope: Scope, tagExpressions: list[str]) -> Lines:  # noqa: N803
    """Series whose tags fit: `name=cpu`, `host!=a`, `dc=~north|south`, `dc!=~x.*`."""
    raise NotImplementedError  # they are read before functions are run


_STEP: Final = Param("step", "integer", required=False, default=60)
TABLE: Final = (
    Function("constantLine", "Special", constant_line, (Param("value", "float"),)),
    Function(
        "threshold",
        "Special",
        threshold,
        (
            Param("value", "float"),
            Param("label", "string", required=False),
            Param("color", "string", required=False),
        ),
    ),
    Function("randomWalk", "Special", random_walk, (Param("name", "string"), _STEP)),
    Function("randomWalkFunction", "Special", random_walk, (Param("name", "string"), _STEP)),
    Function(BY_TAG, "Special", by_tag, (Param("tagExpressions", "string", multiple=True),)),
)
