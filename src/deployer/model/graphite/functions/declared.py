"""What is said of a function: its name, its arguments, and how far before and behind the asked time it looks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from deployer.model.graphite.aggregates import AGGREGATES
from deployer.model.graphite.budget import Budget
from deployer.model.graphite.lines import Lines

Kind = Literal[
    "seriesList", "seriesLists", "node", "nodeOrTag", "integer", "intOrInf", "float", "boolean", "string", "interval",
    "intOrInterval", "date", "aggFunc", "tag", "any",
]  # fmt: skip
SERIES_KINDS: Final = frozenset({"seriesList", "seriesLists"})


class Param(Struct, frozen=True):
    """One argument, as `/functions` tells of it."""

    name: str
    type: Kind
    required: bool = True
    default: Any = None
    multiple: bool = False
    options: Sequence[str] = ()
    suggestions: Sequence[Any] = ()


class Scope(Struct, frozen=True):
    """What a function knows beside its arguments: from when to when is asked (epoch seconds), and what it may cost."""

    start: int
    end: int
    budget: Budget


class Reach(Struct, frozen=True):
    """What a function reads beside the asked time: seconds or points before it, or all of it so many seconds later."""

    before_s: int = 0
    before_points: int = 0
    later_s: int = 0


Run = Callable[..., Lines]
"""`run(scope, **arguments)`, by the names of its parameters; a `multiple` one is a list."""


class Function(Struct, frozen=True):
    """One function."""

    name: str
    group: str
    run: Run
    params: Sequence[Param] = ()
    reach: Callable[[Mapping[str, Any]], Reach] | None = None

    @property
    def description(self) -> str:
        """What it does."""
        return (self.run.__doc__ or "").strip()


LIST: Final = Param("lines", "seriesList")
LISTS: Final = Param("lines", "seriesLists", multiple=True)
NODES: Final = Param("nodes", "nodeOrTag", multiple=True)
FACTOR: Final = Param("factor", "float")
COUNT: Final = Param("n", "integer")
AGGREGATE_NAMES: Final = tuple(AGGREGATES)


def chosen(default: str | None, name: str = "func") -> Param:
    """The name of an aggregation, which may be left out where there is a default."""
    return Param(name, "aggFunc", default is None, default, options=AGGREGATE_NAMES)
