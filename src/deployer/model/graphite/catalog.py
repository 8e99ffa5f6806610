"""A company's series, to be found: untagged ones as a tree of paths, all of them by their tags.

Made once for a list of names and never changed. The tag `name` of a series is its path.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from msgspec import Struct

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.patterns import part_matcher, parts_of, variants
from deployer.model.graphite.problems import TooMuchError
from deployer.model.graphite.tagindex import TagIndex
from deployer.model.series import canonical, split

MAX_FOUND: Final = 10_000
"""Paths that one pattern may find."""
_LEAF: Final = ""
"""A key that no part of a path can be: there is a series that ends here."""

Tree = dict[str, Any]


class Found(Struct, frozen=True):
    """A place in the tree: `leaf`, there is a series; `branch`, there are more places below."""

    path: str
    leaf: bool
    branch: bool

    @property
    def text(self) -> str:
        """The last part of its path."""
        return self.path.rpartition(".")[2]


class Catalog:
    """What can be asked of the names of series."""

    def __init__(self, every: Sequence[str], sees: Callable[[str], bool] | None = None) -> None:
        """`sees`: which of the names are there at all."""
        self.every = every
        self._sees = sees

    @cached_property
    def names(self) -> Sequence[str]:
        """Those that are seen, found when they are first asked for: it may take a while."""
        return self.every if self._sees is None else list(filter(self._sees, self.every))

    @cached_property
    def tags(self) -> TagIndex:
        """All series by tag."""
        return TagIndex(self.names)

    @cached_property
    def _tree(self) -> Tree:
        root: Tree = {}
        for name in self.names:
            if ";" not in name:
                here = root
                for part in name.split("."):
                    here = here.setdefault(part, {})
                here[_LEAF] = None
        return root

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    def find(self, pattern: str, budget: Budget) -> list[Found]:
        """Places that fit a pattern, sorted by path."""
        found: dict[str, Found] = {}
        for parts in _alternatives(pattern):
            for path, tree in _walk(self._tree, parts, budget):
                found[path] = Found(path, _LEAF in tree, len(tree) > (_LEAF in tree))
                if len(found) > MAX_FOUND:
                    raise TooMuchError(f"more than {MAX_FOUND} places fit {pattern[:100]!r}: narrow the pattern")
        return sorted(found.values(), key=lambda one: one.path)

    def series(self, pattern: str, budget: Budget) -> list[str]:
        """Names of series that fit a pattern; a pattern with tags is the name of one series."""
        if ";" in pattern:
            name = canonical(*_tagged(pattern))
            return [name] if name in self._known else []
        return [one.path for one in self.find(pattern, budget) if one.leaf]

    def tagged(self, expressions: Sequence[str], budget: Budget) -> list[str]:
        """Names of series that fit all expressions, as `tag=value` or `tag=~regex`."""
        return [self.names[index] for index in self.tags.find(expressions, budget)]


def _tagged(text: str) -> tuple[str, list[tuple[str, str]]]:
    path, tags = split(text)
    return path, [*tags.items()]


def _alternatives(pattern: str) -> Iterable[Sequence[Sequence[str]]]:
    """Patterns as parts, each with its alternatives; alternatives with dots make patterns of their own."""
    parts = parts_of(pattern)
    if any("." in part for part in parts):
        return [[[part] for part in parts_of(one)] for one in variants(pattern)]
    return [[variants(part) for part in parts]]


def _walk(root: Tree, parts: Sequence[Sequence[str]], budget: Budget) -> Iterator[tuple[str, Tree]]:
    """All places that fit, level by level."""
    level: list[tuple[str, Tree]] = [("", root)]
    for alternatives in parts:
        level = [below for path, tree in level for below in _children(path, tree, alternatives, budget)]
    return iter(level)


def _children(path: str, tree: Tree, alternatives: Sequence[str], budget: Budget) -> Iterator[tuple[str, Tree]]:
    begin = f"{path}." if path else ""
    for part in alternatives:
        matcher = part_matcher(part)
        if isinstance(matcher, str):
            budget.spend(1)
            below = tree.get(matcher) if matcher else None
            if below is not None:
                yield begin + matcher, below
            continue
        budget.spend(len(tree) * (1 + part.count("*")))
        for name, below in tree.items():
            if name and matcher(name):
                yield begin + name, below
