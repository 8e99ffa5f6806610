"""Series by their tags: `seriesByTag`, the lists of tags and values, and what Grafana completes."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.problems import WrongTargetError
from deployer.model.graphite.regex import compiled
from deployer.model.series import split

NAME: Final = "name"
MAX_EXPRESSIONS: Final = 32
MAX_CHARS: Final = 1000
_EXPRESSION: Final = re.compile(r"([^;!^=~]+)(!=~|!=|=~|=)(.*)", re.DOTALL)

Indexes = set[int]
"""Of series in the list of names."""


class Condition(Struct, frozen=True):
    """`tag=value`, `tag!=value`, `tag=~regex` or `tag!=~regex`; a series without the tag has an empty value."""

    tag: str
    operator: str
    value: str

    @property
    def is_contrary(self) -> bool:
        """Whether it is about those that do not fit."""
        return self.operator.startswith("!")

    def fits(self, budget: Budget) -> Callable[[str], bool]:
        """What tells whether a value fits, the exclamation mark left aside."""
        if not self.operator.endswith("~"):
            return self.value.__eq__
        regex = compiled(self.value)
        return lambda text: regex.fits(text, budget, anchored=True)


def condition(text: str) -> Condition:
    """WrongTargetError for what is no condition."""
    found = _EXPRESSION.fullmatch(text)
    if found is None or len(text) > MAX_CHARS:
        raise WrongTargetError(
            f"{text[:100]!r} is no condition: write tag=value, tag!=value, tag=~regex or tag!=~regex"
        )
    return Condition(*found.groups())


class TagIndex:
    """Made once for a list of names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._count = len(names)
        self._tags: dict[str, dict[str, list[int]]] = {NAME: {}}
        for index, name in enumerate(names):
            path, tags = split(name)
            self._tags[NAME].setdefault(path, []).append(index)
            for tag, value in tags.items():
                self._tags.setdefault(tag, {}).setdefault(value, []).append(index)

    def find(self, expressions: Sequence[str], budget: Budget) -> list[int]:
        """Series that fit all conditions, in order. WrongTargetError when none of these asks for something."""
        if len(expressions) > MAX_EXPRESSIONS:
            raise WrongTargetError(f"more than {MAX_EXPRESSIONS} conditions")
        conditions = [condition(text) for text in expressions]
        # what asks for something goes first: it leaves less to be looked at
        conditions.sort(key=lambda one: (one.is_contrary, one.operator != "="))
        if not conditions or not any(self._asks(one, budget) for one in conditions):
            raise WrongTargetError("at least one condition has to ask for a tag with a value that is not empty")
        found: Indexes | None = None
        for one in conditions:
            fitting = self._fitting(one, budget)
            found = fitting if found is None else found & fitting
            budget.spend(len(fitting) // 10)
        return sorted(found or ())

    def tags(self, prefix: str = "", among: Sequence[int] | None = None) -> list[str]:
        """Tags that begin so, of some series or of all."""
        chosen = None if among is None else set(among)
        return sorted(
            tag
            for tag, values in self._tags.items()
            if tag.startswith(prefix) and any(chosen is None or not chosen.isdisjoint(its) for its in values.values())
        )

    def values(self, tag: str, prefix: str = "", among: Sequence[int] | None = None) -> list[tuple[str, int]]:
        """Values of a tag that begin so, with how many series have them; of some series or of all."""
        chosen = None if among is None else set(among)
        counted = (
            (value, len(its) if chosen is None else len(chosen.intersection(its)))
            for value, its in self._tags.get(tag, {}).items()
            if value.startswith(prefix)
        )
        return sorted((value, count) for value, count in counted if count)

    @staticmethod
    def _asks(one: Condition, budget: Budget) -> bool:
        return not one.is_contrary and not one.fits(budget)("") if one.operator != "!=" else one.value == ""

    def _fitting(self, one: Condition, budget: Budget) -> Indexes:
        fits = one.fits(budget)
        values = self._tags.get(one.tag, {})
        if one.operator == "=" and one.value:
            return set(values.get(one.value, ()))
        budget.spend(len(values))
        found = {index for value, its in values.items() if fits(value) for index in its}
        if fits(""):
            found |= set(range(self._count)).difference(*values.values())
        return set(range(self._count)) - found if one.is_contrary else found
