"""Which agents are meant: a small language of comparisons, shared by the API, the command line and the console. Pure.

    role=web and os=linux and not nid=7
    1:* or name=db-?.example.com
    memory>=8 and label.owner=eve

`and` binds before `or`; brackets group; `*` is every agent; `1:7` and `1:*` are agents by number. Values may have the
wildcards `*` and `?`, and quotes where they have other than letters, digits and `._:/@%+*?-`. What is not known of an
agent fits no comparison, and `!=` is the contrary of `=`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final, Literal, get_args

from msgspec import Struct

from deployer.protocol.ids import AgentId
from deployer.protocol.traits import PLACES, Traits

MAX_CHARS: Final = 1000
MAX_TERMS: Final = 100
MAX_DEPTH: Final = 20

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
NUMBERS: Final = ("gid", "nid", "cores", "memory")
TEXTS: Final = ("name", "state", "version", "role", "os", "cpu", *PLACES)
LABEL: Final = "label."

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<sign>!=|<=|>=|[=<>()])|"(?P<double>[^"\x00-\x1f]*)"|'(?P<single>[^'\x00-\x1f]*)'"""
    r"""|(?P<word>[A-Za-z0-9._:/@%+*?-]+))""",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?", re.ASCII)
_AGENT: Final = re.compile(r"(?:[0-9]{1,10}|\*):(?:[0-9]{1,10}|\*)", re.ASCII)
_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/@%+*?-]+", re.ASCII)


class BadTarget(ValueError):  # noqa: N818 (it says what it is)
    """An expression that is none: what is wrong, and at which character."""


class Candidate(Struct, frozen=True, kw_only=True):
    """What is known of an agent and its host. `memory`: GB of 10^9 bytes; None: not known."""

    id: AgentId
    name: str
    state: str
    version: str
    traits: Traits
    os: str | None = None
    cpu: str | None = None
    cores: int | None = None
    memory: float | None = None


class Everything(Struct, frozen=True, tag=True):
    """Every agent."""

    def __str__(self) -> str:
        """As it is written."""
        return "*"

    def takes(self, one: Candidate) -> bool:  # noqa: ARG002 (the form of all)
        """Whether an agent is meant."""
        return True


class Numbered(Struct, frozen=True, tag=True):
    """Agents by number, None for any."""

    gid: int | None
    nid: int | None

    def __str__(self) -> str:
        """As it is written."""
        return f"{'*' if self.gid is None else self.gid}:{'*' if self.nid is None else self.nid}"

    def takes(self, one: Candidate) -> bool:
        """Whether an agent is meant."""
        return self.gid in {None, one.id.gid} and self.nid in {None, one.id.nid}


class Compared(Struct, frozen=True, tag=True):
    """A comparison of something that is known of agents."""

    key: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        """As it is written."""
        quote = "" if _PLAIN.fullmatch(self.value) else "'" if '"' in self.value else '"'
        return f"{self.key}{self.operator}{quote}{self.value}{quote}"

    def takes(self, one: Candidate) -> bool:
        """Whether an agent is meant."""
        if self.operator == "!=":
            return not Compared(self.key, "=", self.value).takes(one)
        if self.key in NUMBERS:
            known = _number(one, self.key)
            return known is not None and _ORDER[self.operator](known, float(self.value))
        return any(_wildcard(self.value)(text) is not None for text in _texts(one, self.key))


class Not(Struct, frozen=True, tag=True):
    """The others."""

    of: "Target"

    def __str__(self) -> str:
        """As it is written."""
        return f"not {_bracketed(self.of, (And, Or))}"

    def takes(self, one: Candidate) -> bool:
        """Whether an agent is meant."""
        return not self.of.takes(one)


class And(Struct, frozen=True, tag=True):
    """What all of them mean."""

    parts: tuple["Target", ...]

    def __str__(self) -> str:
        """As it is written."""
        return " and ".join(_bracketed(one, (And, Or)) for one in self.parts)

    def takes(self, one: Candidate) -> bool:
        """Whether an agent is meant."""
        return all(part.takes(one) for part in self.parts)


class Or(Struct, frozen=True, tag=True):
    """What any of them means."""

    parts: tuple["Target", ...]

    def __str__(self) -> str:
        """As it is written."""
        return " or ".join(_bracketed(one, (Or,)) for one in self.parts)

    def takes(self, one: Candidate) -> bool:
        """Whether an agent is meant."""
        return any(part.takes(one) for part in self.parts)


Target = Everything | Numbered | Compared | Not | And | Or


def parse(text: str) -> Target:
    """Read an expression; BadTarget says what is wrong with it and where."""
    if len(text) > MAX_CHARS:
        raise BadTarget(f"a target has at most {MAX_CHARS} characters")
    parser = _Parser(list(_tokens(text)), text)
    found = parser.alternatives(0)
    parser.require_end()
    return found


class _Token(Struct, frozen=True):
    text: str
    at: int
    is_quoted: bool = False
    is_sign: bool = False


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise BadTarget(f"character {at + 1}: {text[at : at + 10]!r} cannot stand here")
        kind = str(match.lastgroup)
        yield _Token(match[kind], match.start(kind), kind in {"double", "single"}, kind == "sign")
        at = match.end()


class _Parser:
    """Recursive descent over tokens."""

    def __init__(self, tokens: Sequence[_Token], text: str) -> None:
        self._tokens = tokens
        self._end = len(text)
        self._at = 0
        self._terms = 0

    def alternatives(self, depth: int) -> Target:
        """Parts with `or` between."""
        if depth > MAX_DEPTH:
            raise BadTarget(f"nested deeper than {MAX_DEPTH}")
        parts = [self._all(depth)]
        while self._took_word("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def require_end(self) -> None:
        """BadTarget when something follows."""
        if self._at < len(self._tokens):
            raise self._wrong("`and` or `or` is missing before")

    def _all(self, depth: int) -> Target:
        parts = [self._one(depth)]
        while self._took_word("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self, depth: int) -> Target:
        if self._took_word("not"):
            if depth > MAX_DEPTH:
                raise BadTarget(f"nested deeper than {MAX_DEPTH}")
            return Not(self._one(depth + 1))
        if self._took_sign("("):
            inner = self.alternatives(depth + 1)
            if not self._took_sign(")"):
                raise self._wrong("`)` is missing before")
            return inner
        return self._term()

    def _term(self) -> Target:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise BadTarget(f"a target has at most {MAX_TERMS} comparisons")
        word = self._next("a comparison")
        if word.is_quoted or word.is_sign:
            raise BadTarget(f"character {word.at + 1}: a comparison is missing before {word.text!r}")
        if word.text == "*":
            return Everything()
        if _AGENT.fullmatch(word.text):
            gid, nid = (None if part == "*" else int(part) for part in word.text.split(":"))
            return Numbered(gid, nid)
        return self._comparison(word)

    def _comparison(self, key: _Token) -> Target:
        _require_key(key)
        operator = self._next("an operator such as =")
        if not operator.is_sign or operator.text not in _OPERATORS:
            raise BadTarget(f"character {operator.at + 1}: after {key.text!r} comes one of {' '.join(_OPERATORS)}")
        value = self._next("a value")
        if value.is_sign:
            raise BadTarget(f"character {value.at + 1}: a value is missing before {value.text!r}")
        _require_fit(key, operator, value)
        return Compared(key.text, operator.text, value.text)  # type: ignore[arg-type]  # one of them

    def _next(self, what: str) -> _Token:
        if self._at == len(self._tokens):
            raise BadTarget(f"character {self._end + 1}: {what} is missing at the end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _took_word(self, word: str) -> bool:
        return self._took(lambda one: one.text.lower() == word and not one.is_quoted)

    def _took_sign(self, sign: str) -> bool:
        return self._took(lambda one: one.is_sign and one.text == sign)

    def _took(self, fits: Callable[[_Token], bool]) -> bool:
        if self._at < len(self._tokens) and fits(self._tokens[self._at]):
            self._at += 1
            return True
        return False

    def _wrong(self, what: str) -> BadTarget:
        if self._at == len(self._tokens):
            return BadTarget(f"character {self._end + 1}: {what} the end")
        token = self._tokens[self._at]
        return BadTarget(f"character {token.at + 1}: {what} {token.text!r}")


def _require_key(key: _Token) -> None:
    if key.text not in (*NUMBERS, *TEXTS) and not (key.text.startswith(LABEL) and len(key.text) > len(LABEL)):
        known = ", ".join((*NUMBERS, *TEXTS, f"{LABEL}NAME"))
        raise BadTarget(
            f"character {key.at + 1}: {key.text[:40]!r} is none of {known}, nor gid:nid, nor *;"
            f" of a host say name={key.text[:40]}, of a role role={key.text[:40]}"
        )


def _require_fit(key: _Token, operator: _Token, value: _Token) -> None:
    if key.text in NUMBERS:
        if not _NUMBER.fullmatch(value.text):
            raise BadTarget(f"character {value.at + 1}: {key.text} is compared with a number, not {value.text[:40]!r}")
    elif operator.text not in {"=", "!="}:
        raise BadTarget(f"character {operator.at + 1}: {key.text[:40]} is a text, which has = and != only")


def _bracketed(one: Target, kinds: tuple[type[Struct], ...]) -> str:
    return f"({one})" if isinstance(one, kinds) else str(one)


def _number(one: Candidate, key: str) -> float | None:
    return {"gid": one.id.gid, "nid": one.id.nid, "cores": one.cores, "memory": one.memory}[key]


def _texts(one: Candidate, key: str) -> Sequence[str]:
    if key.startswith(LABEL):
        known = (one.traits.labels or {}).get(key[len(LABEL) :])
    elif key == "role":
        return one.traits.roles or ()
    else:
        known = getattr(one.traits if key in PLACES else one, key)
    return () if known is None else (known,)


@lru_cache(maxsize=1000)
def _wildcard(value: str) -> Callable[[str], object]:
    """Whether a text fits a value; `[` means nothing but itself."""
    return re.compile(translate(value.replace("[", "[[]")), re.DOTALL).match


_OPERATORS: Final[tuple[str, ...]] = get_args(Operator)
_ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
