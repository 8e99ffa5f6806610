r"""Regular expressions of users as a tree: what Graphite's users write, without what no linear matcher has.

Literals, `.`, classes, `\d \w \s` and their contraries, `^ $ \b \B`, groups, alternatives, and `* + ? {m,n}` with
their lazy forms; `(?i)` in front. No references back, no looking around.
"""

import re
from typing import Final

from msgspec import Struct

from deployer.model.graphite.problems import WrongTargetError

MAX_CHARS: Final = 250
MAX_COUNT: Final = 250
MAX_DEPTH: Final = 20

_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_COUNT: Final = re.compile(r"\{([0-9]{0,4})(,?)([0-9]{0,4})\}", re.ASCII)
_NAMED: Final = re.compile(r"\?P<([A-Za-z_][A-Za-z0-9_]*)>", re.ASCII)
_SETS: Final = "dDwWsS"
_EDGES: Final = "bB"


class One(Struct, frozen=True, tag=True):
    """One character: a literal, or what the pattern `text` takes. `is_set`: several do."""

    text: str
    is_set: bool


class Edge(Struct, frozen=True, tag=True):
    """A place between characters: `^ $ b B`."""

    kind: str


class Run(Struct, frozen=True, tag=True):
    """One after the other."""

    parts: tuple["Tree", ...]


class Either(Struct, frozen=True, tag=True):
    """Alternatives, the first that fits."""

    ways: tuple["Tree", ...]


class Repeat(Struct, frozen=True, tag=True):
    """So many of it; `most` None: any number."""

    its: "Tree"
    least: int
    most: int | None
    greedy: bool


class Group(Struct, frozen=True, tag=True):
    """What is in brackets; `number` None: is not kept."""

    its: "Tree"
    number: int | None


Tree = One | Edge | Run | Either | Repeat | Group


class Parsed(Struct, frozen=True):
    """A whole regular expression. `names`: of groups that have one; `text`: for Python's own matcher."""

    tree: Tree
    groups: int
    names: dict[str, int]
    ignore_case: bool
    text: str


def parse(text: str) -> Parsed:
    """The tree of a regular expression. WrongTargetError for what is none, or is not of this kind."""
    if len(text) > MAX_CHARS:
        raise WrongTargetError(f"a regular expression has {len(text)} characters, more than {MAX_CHARS}")
    reader = _Reader(text.removeprefix("(?i)"))
    tree = reader.ways(0)
    if reader.left:
        raise reader.wrong("a closing bracket too many")
    ignore_case = text.startswith("(?i)")
    return Parsed(tree, reader.groups, reader.names, ignore_case, "(?i)" * ignore_case + reader.text)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self._at = 0
        self.groups = 0
        self.names: dict[str, int] = {}

    @property
    def left(self) -> str:
        """What is still to be read."""
        return self.text[self._at :]

    def wrong(self, what: str) -> WrongTargetError:
        return WrongTargetError(f"in the regular expression {self.text[:60]!r}, at character {self._at + 1}: {what}")

    def ways(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise self.wrong(f"groups are nested more than {MAX_DEPTH} deep")
        found = [self._run(depth)]
        while self._takes("|"):
            found.append(self._run(depth))
        return found[0] if len(found) == 1 else Either(tuple(found))

    def _takes(self, text: str) -> bool:
        taken = self.text.startswith(text, self._at)
        self._at += len(text) if taken else 0
        return taken

    def _run(self, depth: int) -> Tree:
        parts: list[Tree] = []
        while self._at < len(self.text) and self.text[self._at] not in "|)":
            parts.append(self._repeated(self._atom(depth)))
        return parts[0] if len(parts) == 1 else Run(tuple(parts))

    def _atom(self, depth: int) -> Tree:
        char = self.text[self._at]
        if char in "*+?":
            raise self.wrong(f"nothing stands before {char}")
        if char == "[":
            return self._class()
        self._at += 1
        if char == "(":
            return self._group(depth)
        if char == "\\":
            return self._escape()
        if char in "^$":
            return Edge(char)
        return One(char, is_set=char == ".")

    def _class(self) -> Tree:
        found = _CLASS.match(self.text, self._at)
        if found is None:
            raise self.wrong("a class without its closing bracket")
        try:
            # a `[` in a class is a literal, and a second `&&`, `||`, `--` too: only Python's warning is kept away
            text = found[0][0] + re.sub(r"(?<!\\)\[|([&|~-])(?=\1)", r"\\\g<0>", found[0][1:])
            re.compile(text)
        except re.error as error:
            raise self.wrong(f"no class: {error.msg}") from None
        self.text = self.text[: found.start()] + text + self.text[found.end() :]
        self._at = found.start() + len(text)
        return One(text, is_set=True)

    def _group(self, depth: int) -> Tree:
        number = None
        named = _NAMED.match(self.text, self._at)
        if named:
            self._at = named.end()
        if named or not self.text.startswith("?", self._at):
            self.groups += 1
            number = self.groups
            if named:
                self.names[named[1]] = number
        elif not self._takes("?:"):
            raise self.wrong("looking around and flags are not taken: only (…), (?:…), (?P<name>…), and (?i) in front")
        inner = self.ways(depth + 1)
        if not self._takes(")"):
            raise self.wrong("a group without its closing bracket")
        return Group(inner, number)

    def _escape(self) -> Tree:
        char = self.text[self._at : self._at + 1]
        self._at += 1
        if char and char in _SETS:
            return One("\\" + char, is_set=True)
        if char and char in _EDGES:
            return Edge(char)
        if not char or (char.isalnum() and char.isascii()):
            raise self.wrong(f"\\{char} is not taken here")
        return One(char, is_set=False)

    def _repeated(self, atom: Tree) -> Tree:
        found = self._count()
        if found is None:
            return atom
        if isinstance(atom, Edge):
            raise self.wrong("a place between characters cannot be repeated")
        greedy = not self._takes("?")
        if self.text[self._at : self._at + 1] in {"*", "+", "?"} or self._count() is not None:
            raise self.wrong("a repetition of a repetition")
        return Repeat(atom, *found, greedy)

    def _count(self) -> tuple[int, int | None] | None:
        for sign, least, most in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._takes(sign):
                return least, most
        found = _COUNT.match(self.text, self._at)
        if found is None or not (found[1] or found[3]):
            return None
        self._at = found.end()
        first = int(found[1] or 0)
        last = (int(found[3]) if found[3] else None) if found[2] else first
        if max(first, last or 0) > MAX_COUNT or (last is not None and last < first):
            raise self.wrong(f"counts go up to {MAX_COUNT}, and the second is not below the first")
        return first, last
