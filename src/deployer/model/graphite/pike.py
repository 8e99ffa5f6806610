"""Matches regular expressions in a time that is linear in the text, whatever they are (Pike's virtual machine).

All ways through the expression go on at once, in the order in which a backtracking matcher would try them, and no two
of them stand at the same place: so a character costs at most as many steps as the program is long, and the first way
that arrives is the one that the other kind of matcher would have found.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.problems import TooMuchError
from deployer.model.graphite.regextree import Edge, Either, Group, One, Parsed, Repeat, Run, Tree

MAX_STEPS: Final = 2000
"""Of a program: `(a{200}){200}` has more."""

Captures = tuple[int, ...]
"""Where each group begins and ends, group 0 first; -1 where it took no part."""


class _Take(Struct, frozen=True):
    fits: Callable[[str], object]


class _Split(Struct, frozen=True):
    first: int
    second: int


class _Save(Struct, frozen=True):
    slot: int


class _Edge(Struct, frozen=True):
    kind: str


class _End(Struct, frozen=True):
    pass


class _Front:
    """Where the ways through the program stand at one place of the text."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.seen: set[int] = set()
        self.ready: list[tuple[int, Captures]] = []


_Step = _Take | _Split | _Save | _Edge | _End


class Program:
    """A regular expression made ready."""

    def __init__(self, parsed: Parsed) -> None:
        self._flags = re.IGNORECASE if parsed.ignore_case else re.NOFLAG
        self._slots = 2 * parsed.groups + 2
        self._steps: list[_Step] = []
        self._add(_Save(0))
        self._compile(parsed.tree)
        self._add(_Save(1))
        self._add(_End())

    def find(self, text: str, begin: int, budget: Budget, *, anchored: bool = False) -> Captures | None:
        """The first match from a place on, or only at that place."""
        nothing = (-1,) * self._slots
        found, threads = None, list[tuple[int, Captures]]()
        for at in range(begin, len(text) + 1):
            front = _Front(text, at)
            for place, captures in threads:
                self._follow(place, captures, front)
            if found is None and (at == begin or not anchored):
                self._follow(0, nothing, front)
            budget.spend(len(front.seen) + 1)
            threads, arrived = self._advance(front.ready, text[at : at + 1])
            found = arrived or found
            if not threads and (found or anchored):
                break
        return found

    def _advance(
        self, ready: Sequence[tuple[int, Captures]], char: str
    ) -> tuple[list[tuple[int, Captures]], Captures | None]:
        """Those that take a character; whoever comes behind one that has arrived is not asked any more."""
        going: list[tuple[int, Captures]] = []
        for place, captures in ready:
            step = self._steps[place]
            if isinstance(step, _End):
                return going, captures
            if char and isinstance(step, _Take) and step.fits(char):
                going.append((place + 1, captures))
        return going, None

    def _follow(self, place: int, captures: Captures, front: "_Front") -> None:
        """Go on from a place to all where a character is needed, in order."""
        left = [(place, captures)]
        while left:
            here, its = left.pop()
            if here in front.seen:
                continue
            front.seen.add(here)
            step = self._steps[here]
            if isinstance(step, _Split):
                left += [(step.second, its), (step.first, its)]
            elif isinstance(step, _Save):
                left.append((here + 1, (*its[: step.slot], front.at, *its[step.slot + 1 :])))
            elif isinstance(step, _Edge):
                if _is_edge(step.kind, front.text, front.at):
                    left.append((here + 1, its))
            else:
                front.ready.append((here, its))

    def _add(self, step: _Step) -> int:
        if len(self._steps) >= MAX_STEPS:
            raise TooMuchError("a regular expression repeats too much")
        self._steps.append(step)
        return len(self._steps) - 1

    def _compile(self, tree: Tree) -> None:
        if isinstance(tree, One):
            self._add(_Take(self._fits(tree)))
        elif isinstance(tree, Edge):
            self._add(_Edge(tree.kind))
        elif isinstance(tree, Run):
            for part in tree.parts:
                self._compile(part)
        elif isinstance(tree, Either):
            self._either(tree.ways)
        elif isinstance(tree, Group):
            self._group(tree)
        else:
            self._repeat(tree)

    def _fits(self, one: One) -> Callable[[str], object]:
        if not one.is_set and not self._flags:
            return one.text.__eq__
        return re.compile(one.text if one.is_set else re.escape(one.text), self._flags).match

    def _group(self, tree: Group) -> None:
        if tree.number is None:
            self._compile(tree.its)
            return
        self._add(_Save(2 * tree.number))
        self._compile(tree.its)
        self._add(_Save(2 * tree.number + 1))

    def _either(self, ways: Sequence[Tree]) -> None:
        jumps = []
        for way in ways[:-1]:
            split = self._add(_Split(0, 0))
            self._compile(way)
            jumps.append(self._add(_Split(0, 0)))
            self._steps[split] = _Split(split + 1, len(self._steps))
        self._compile(ways[-1])
        for jump in jumps:
            self._steps[jump] = _Split(len(self._steps), len(self._steps))

    def _repeat(self, tree: Repeat) -> None:
        for _ in range(tree.least):
            self._compile(tree.its)
        if tree.most is None:
            split = self._add(_Split(0, 0))
            self._compile(tree.its)
            self._add(_Split(split, split))
            self._steps[split] = self._split(split + 1, len(self._steps), greedy=tree.greedy)
            return
        splits = []
        for _ in range(tree.most - tree.least):
            splits.append(self._add(_Split(0, 0)))
            self._compile(tree.its)
        for split in splits:
            self._steps[split] = self._split(split + 1, len(self._steps), greedy=tree.greedy)

    @staticmethod
    def _split(inside: int, behind: int, *, greedy: bool) -> _Split:
        return _Split(inside, behind) if greedy else _Split(behind, inside)


def _is_edge(kind: str, text: str, at: int) -> bool:
    if kind == "^":
        return at == 0
    if kind == "$":
        return at == len(text) or (at == len(text) - 1 and text[at] == "\n")
    before = at > 0 and _is_word(text[at - 1])
    behind = at < len(text) and _is_word(text[at])
    return (before != behind) is (kind == "b")


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
