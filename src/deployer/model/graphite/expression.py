"""Targets as a tree: `aliasByNode(agents.1.*.host.cpu, 2)`, `a.b | scale(2)`, `seriesByTag('name=cpu', "host=~db.*")`.

A target is a path, a number, a string, true, false, none, or a call of a function with positional and named arguments;
`a | f(b)` is `f(a, b)`. A path may have `* ? [ab] {a,b}` and, behind semicolons, the tags of a tagged series.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from deployer.model.graphite.problems import WrongTargetError

MAX_CHARS: Final = 8192
MAX_REQUEST_CHARS: Final = 64 * 1024
"""Of all targets of a request: reading more would hold up the reactor."""
MAX_DEPTH: Final = 32
MAX_NODES: Final = 1000

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?=\s*(?:[,)|]|$))", re.ASCII)
_CONSTANT: Final = re.compile(r"(true|false|none)(?=\s*(?:[,)|]|$))", re.ASCII | re.IGNORECASE)
_CALL: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(", re.ASCII)
_NAMED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=\s*", re.ASCII)
_PATH: Final = re.compile(r"(?:[^\s(){},'\"\\|\x00-\x1f\x7f]|\{[^{}()'\"\\|\x00-\x1f\x7f]*\}|\\[(){},|'\"\\])+")
_SPACE: Final = re.compile(r"\s*")


class Path(Struct, frozen=True, tag=True):
    """Which series: a pattern."""

    text: str


class Literal(Struct, frozen=True, tag=True):
    """A number, a string, true, false or none."""

    value: float | int | str | bool | None


class Call(Struct, frozen=True, tag=True):
    """A function and what it is given."""

    name: str
    args: tuple["Node", ...]
    named: tuple[tuple[str, "Node"], ...] = ()


Node = Path | Literal | Call


def parsed(targets: Sequence[str]) -> list[Node]:
    """The trees of a request's targets. WrongTargetError as of `parse`, and when they are too long together."""
    count = sum(map(len, targets))
    if count > MAX_REQUEST_CHARS:
        raise WrongTargetError(f"the targets have {count} characters together, more than {MAX_REQUEST_CHARS}")
    return [parse(text) for text in targets]


def parse(text: str) -> Node:
    """The tree of a target. WrongTargetError for what is none, or is too long, too deep or too large."""
    if len(text) > MAX_CHARS:
        raise WrongTargetError(f"a target has {len(text)} characters, more than {MAX_CHARS}")
    reader = _Reader(text)
    found = reader.expression(0)
    reader.space()
    if reader.at != len(text):
        raise reader.wrong("the target should end")
    return found


def first_path(text: str) -> str:
    """The first path inside a target, or the text itself if that is none: what `aliasByNode` counts the parts of."""
    if "(" not in text:
        return text
    try:
        return next(_paths(parse(text)), text)
    except WrongTargetError:
        return text


def _paths(node: Node) -> Iterator[str]:
    if isinstance(node, Path):
        yield node.text
    elif isinstance(node, Call):
        for one in node.args:
            yield from _paths(one)


class _Reader:
    """Reads from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._nodes = 0
        self.at = 0

    def expression(self, depth: int) -> Node:
        """One argument with the pipes behind it."""
        found = self._single(depth)
        while self._takes("|"):
            piped = self._single(depth)
            if not isinstance(piped, Call):
                raise self.wrong("a function is needed behind |")
            depth += 1  # each pipe wraps what is before it
            self._require_depth(depth)
            found = Call(piped.name, (found, *piped.args), piped.named)
        return found

    def space(self) -> None:
        """Go past blanks."""
        self.at = _SPACE.match(self._text, self.at).end()  # type: ignore[union-attr]  # it takes nothing, too

    def wrong(self, what: str) -> WrongTargetError:
        """An error that tells the place."""
        return WrongTargetError(f"in the target, at character {self.at + 1}: {what}")

    def _single(self, depth: int) -> Node:
        self._require_depth(depth)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self.wrong(f"a target has more than {MAX_NODES} parts")
        self.space()
        if self.at < len(self._text) and self._text[self.at] in "'\"":
            return Literal(self._string())
        return self._call(depth) or self._number() or self._constant() or self._path()

    def _require_depth(self, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise self.wrong(f"functions are nested more than {MAX_DEPTH} deep")

    def _takes(self, char: str) -> bool:
        self.space()
        taken = self._text.startswith(char, self.at)
        self.at += taken
        return taken

    def _takes_match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self.at)
        if found:
            self.at = found.end()
        return found

    def _string(self) -> str:
        quote = self._text[self.at]
        parts, begin = [], self.at + 1
        at = begin
        while at < len(self._text):
            if self._text[at] == "\\" and self._text[at + 1 : at + 2] in {quote, "\\"}:
                # the backslash of `\1` stays, that before a quote goes
                parts.append(self._text[begin:at] + ("\\\\" if self._text[at + 1] == "\\" else quote))
                begin = at = at + 2
            elif self._text[at] == quote:
                self.at = at + 1
                return "".join(parts) + self._text[begin:at]
            else:
                at += 1
        raise self.wrong("a string without its closing quote")

    def _call(self, depth: int) -> Node | None:
        found = self._takes_match(_CALL)
        if found is None:
            return None
        args: list[Node] = []
        named: dict[str, Node] = {}
        if self._takes(")"):
            return Call(found[1], ())
        while True:
            self._argument(depth + 1, args, named)
            if self._takes(")"):
                return Call(found[1], tuple(args), tuple(named.items()))
            if not self._takes(","):
                raise self.wrong(f"a comma or a closing bracket of {found[1]} is needed")

    def _argument(self, depth: int, args: list[Node], named: dict[str, Node]) -> None:
        self.space()
        name = self._takes_match(_NAMED)
        if name is None and named:
            raise self.wrong("a positional argument behind a named one")
        value = self.expression(depth)
        if name is None:
            args.append(value)
        elif name[1] in named:
            raise self.wrong(f"the argument {name[1]} is given twice")
        else:
            named[name[1]] = value

    def _number(self) -> Node | None:
        found = self._takes_match(_NUMBER)
        if found is None:
            return None
        text = found[0]
        if text.lstrip("+-").isdigit():
            if len(text) > 20:  # noqa: PLR2004 (digits of 2**63)
                raise self.wrong("a number that is too large")
            return Literal(int(text))
        if not math.isfinite(value := float(text)):
            raise self.wrong("a number that is too large")
        return Literal(value)

    def _constant(self) -> Node | None:
        found = self._takes_match(_CONSTANT)
        return Literal({"true": True, "false": False, "none": None}[found[1].lower()]) if found else None

    def _path(self) -> Node:
        found = self._takes_match(_PATH)
        if found is None:
            raise self.wrong("a path, a number, a string or a function is needed")
        return Path(re.sub(r"\\(.)", r"\1", found[0]))
