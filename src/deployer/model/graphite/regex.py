"""Regular expressions that users send (`aliasSub`, `grep`, tags): none can hold the reactor (RELIABILITY P11).

How many ways through an expression there are for a text of n characters is counted beforehand. With few of them
Python's own matcher is asked, which tries one after the other; with more, or where repetitions are nested, `pike` is,
which needs linear time. The two find the same.
"""

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.pike import Captures, Program
from deployer.model.graphite.problems import TooMuchError, WrongTargetError
from deployer.model.graphite.regextree import Edge, Either, Group, Repeat, Run, Tree, parse

MAX_WAYS: Final = 50_000
"""That Python's matcher may have to try, a few ten nanoseconds each."""
MAX_NAME_CHARS: Final = 8192
_UNITS_A_WAY: Final = 0.05
_REFERENCE: Final = re.compile(r"\\(?:([0-9]{1,2})|g<([A-Za-z_0-9]{1,64})>|(\\))", re.ASCII)


class Regex:
    """One regular expression, ready to be looked for."""

    def __init__(self, text: str) -> None:
        self._parsed = parse(text)
        self._program = Program(self._parsed)
        try:
            self._native = re.compile(self._parsed.text)
        except re.error as error:
            raise WrongTargetError(f"no regular expression: {error.msg}") from None
        self._is_anchored = _is_anchored(self._parsed.tree)

    def fits(self, text: str, budget: Budget, *, anchored: bool = False) -> bool:
        """Whether it is in a text, or at its beginning."""
        return self._find(text, 0, budget, anchored=anchored) is not None

    def replaced(self, template: str, text: str, budget: Budget) -> str:
        r"""The text with each match replaced; `\1` and `\g<name>` in the template are what a group took."""
        pieces, end = [], 0
        for captures in self._all(text, budget):
            pieces += [text[end : captures[0]], self._filled(template, text, captures)]
            end = captures[1]
        if sum(map(len, pieces)) + len(text) - end > MAX_NAME_CHARS:
            raise TooMuchError(f"a name would have more than {MAX_NAME_CHARS} characters")
        return "".join(pieces) + text[end:]

    def _all(self, text: str, budget: Budget) -> Iterator[Captures]:
        """Matches that do not overlap, as `re.sub` has them."""
        at = 0
        while at <= len(text):
            captures = self._find(text, at, budget)
            if captures is None:
                return
            yield captures
            at = captures[1] + (captures[0] == captures[1])

    def _find(self, text: str, begin: int, budget: Budget, *, anchored: bool = False) -> Captures | None:
        ways = _ways(self._parsed.tree, len(text) - begin)
        if not (anchored or self._is_anchored):
            ways *= max(1, len(text) - begin)
        if ways > MAX_WAYS:
            return self._program.find(text, begin, budget, anchored=anchored)
        budget.spend(1 + int(ways * _UNITS_A_WAY))
        found = (self._native.match if anchored else self._native.search)(text, begin)
        return None if found is None else tuple(place for span in found.regs for place in span)

    def _filled(self, template: str, text: str, captures: Captures) -> str:
        def group(reference: re.Match[str]) -> str:
            if reference[3]:
                return "\\"
            number = self._number(reference[1] or reference[2])
            return text[max(0, captures[2 * number]) : max(0, captures[2 * number + 1])]

        return _REFERENCE.sub(group, template)

    def _number(self, name: str) -> int:
        number = int(name) if name.isdigit() else self._parsed.names.get(name, -1)
        if not 0 <= number <= self._parsed.groups:
            raise WrongTargetError(f"the regular expression has no group {name}")
        return number


@lru_cache(maxsize=256)
def compiled(text: str) -> Regex:
    """A regular expression. WrongTargetError for what is none, or is of a kind that is not taken."""
    return Regex(text)


def _ways(tree: Tree, chars: int) -> float:
    """At most how many ways through it a backtracking matcher can try, from one place on."""
    if isinstance(tree, Run):
        return math.prod(_ways(part, chars) for part in tree.parts)
    if isinstance(tree, Either):
        return sum(_ways(way, chars) for way in tree.ways)
    if isinstance(tree, Group):
        return _ways(tree.its, chars)
    if isinstance(tree, Repeat):
        return _ways_of_repeat(tree, chars)
    return 1.0


def _ways_of_repeat(tree: Repeat, chars: int) -> float:
    its = _ways(tree.its, chars)
    if tree.most == 1:
        return its + 1
    if its > 1:
        return math.inf
    return 1.0 + max(0, min(chars, chars if tree.most is None else tree.most - tree.least))


def _is_anchored(tree: Tree) -> bool:
    """Whether it fits at the beginning of a text only."""
    if isinstance(tree, Run):
        return bool(tree.parts) and _is_anchored(tree.parts[0])
    if isinstance(tree, Either):
        return all(map(_is_anchored, tree.ways))
    if isinstance(tree, Group):
        return _is_anchored(tree.its)
    return isinstance(tree, Edge) and tree.kind == "^"
