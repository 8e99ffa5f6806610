"""Lines of statsd as programs write them (CONVENTIONS 3.2). Pure: a line in, a sample or a reason out, never an error.

    name:value[:value…]|type[|@rate][|#tag:value,flag][|T<unix time>][|x:anything]
    name,tag=value:value|type

Types: `c` counter, `g` gauge (a value with a sign changes it), `ms` timer (`h` and `d` are the same), `s` member of a
set, `kv` a number of which the last counts (existing agents). Several values, DogStatsD 1.1, not for sets; in such a
row a sign is only a sign. Sections that are not known are passed over. Blanks around a line, a name and a value are
dropped. Tags become those of Graphite: what may not be in them is `_`, and a flag has the value `true`.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from deployer.protocol.decimals import decimal
from deployer.protocol.ids import node

MAX_LINE_CHARS: Final = 16 * 1024
MAX_NAME_CHARS: Final = 256
MAX_ENCODED_CHARS: Final = 288
"""Of a name whose parts were brought into `[A-Za-z0-9_%-]`: leaves room for `.upper_90` in a point's key."""
MAX_VALUES: Final = 1000
MAX_TAGS: Final = 32
MAX_TAG_CHARS: Final = 200
MAX_TAGS_CHARS: Final = 2000
MAX_MEMBER_CHARS: Final = 1024
_TIME_DIGITS: Final = 12

Kind = Literal["counter", "gauge", "delta", "timer", "set", "kv"]
Tags = tuple[tuple[str, str], ...]

_KINDS: Final[dict[str, Kind]] = {
    "c": "counter",
    "g": "gauge",
    "ms": "timer",
    "h": "timer",
    "d": "timer",
    "s": "set",
    "kv": "kv",
}
_WITH_RATE: Final = frozenset({"counter", "timer"})
_WITH_TIME: Final = frozenset({"counter", "gauge"})
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")
_NOT_IN_TAG_NAME = re.compile("[;!^=]")


class Bad(Enum):
    """Why a line is none."""

    LONG_LINE = "longer than a line may be"
    CONTROL = "control characters"
    NO_VALUE = "no name:value|type"
    EMPTY_NAME = "the name, or a part of it between dots, is empty"
    LONG_NAME = "longer than a name may be"
    TYPE = "the type is none of c g ms h d s kv"
    NUMBER = "the value is no finite number of at most 32 characters"
    MEMBER = "the member of a set is empty or too long"
    MANY_VALUES = "more values than a line may have"
    RATE = "the rate is not above 0 and at most 1"
    TAGS = "too many tags, or too long ones"


class Sample(Struct, frozen=True, gc=False):
    """What a line says. `name`: dotted, each part as `ids.node()` makes it.

    `values` of a packed line are several, of a set none: its `member` is a text. `rate`: the share of the events that
    was sent, above 0 and at most 1. `at`: epoch seconds, where a counter or gauge says so.
    """

    name: str
    kind: Kind
    values: tuple[float, ...]
    rate: float = 1.0
    tags: Tags = ()
    at: int | None = None
    member: str = ""


def parse_lines(text: str) -> Iterator[Sample | Bad]:
    """What each line says that is not blank; a datagram or a message has many."""
    return (parse(line) for line in text.split("\n") if line and not line.isspace())


def parse(line: str) -> Sample | Bad:  # noqa: PLR0911 (one for each reason)
    """What a line says, or why it says nothing."""
    if len(line) > MAX_LINE_CHARS:
        return Bad.LONG_LINE
    line = line.strip()
    if not line.isprintable() and _CONTROL.search(line):
        return Bad.CONTROL
    name, _, rest = line.partition(":")
    parts = rest.split("|")
    if len(parts) < 2 or "|" in name:  # noqa: PLR2004 (a value and a type)
        return Bad.NO_VALUE
    named = _name(name) if len(name) <= MAX_NAME_CHARS + MAX_TAGS_CHARS else Bad.LONG_NAME
    if isinstance(named, Bad):
        return named
    kind = _KINDS.get(parts[1])
    if kind is None:
        return Bad.TYPE
    if len(parts) == 2 and kind != "set":  # noqa: PLR2004 (the plain line, the one that must be fast)
        return _numbers(named, kind, parts[0])
    return _rich(named, kind, parts)


@lru_cache(maxsize=2048)
def tag_text(tags: Tags) -> str:
    """Tags at the end of a point's key: Graphite's `;tag=value`, all of it as `ids.node()` makes it."""
    return "".join(node(f";{tag}={value}") for tag, value in tags)


_Named = tuple[str, Tags]


def _numbers(named: _Named, kind: Kind, text: str) -> Sample | Bad:
    if ":" in text:
        values = _packed(text)
        return values if isinstance(values, Bad) else Sample(named[0], kind, values, 1.0, named[1])
    text = text.strip()
    number = decimal(text)
    if number is None:
        return Bad.NUMBER
    if kind == "gauge" and text[0] in "+-":
        kind = "delta"
    return Sample(named[0], kind, (number,), 1.0, named[1])


def _packed(text: str) -> tuple[float, ...] | Bad:
    texts = text.split(":", MAX_VALUES)
    if len(texts) > MAX_VALUES:
        return Bad.MANY_VALUES
    numbers = [number for one in texts if (number := decimal(one.strip())) is not None]
    return tuple(numbers) if len(numbers) == len(texts) else Bad.NUMBER


def _rich(named: _Named, kind: Kind, parts: Sequence[str]) -> Sample | Bad:
    """A line with sections, or one of a set."""
    plain = _member(named, parts[0]) if kind == "set" else _numbers(named, kind, parts[0])
    if isinstance(plain, Bad):
        return plain
    rate, tags, at = plain.rate, plain.tags, plain.at
    for part in parts[2:]:
        if part.startswith("@"):
            rate = decimal(part[1:]) or 0.0
        elif part.startswith("#"):
            found = _tags(part[1:], ":") if len(part) <= MAX_TAGS_CHARS else Bad.TAGS
            if isinstance(found, Bad):
                return found
            tags = _merged(tags, found)
        elif part.startswith("T") and part[1:].isdecimal() and len(part) <= _TIME_DIGITS + 1:
            at = int(part[1:])
    if not 0 < rate <= 1:
        return Bad.RATE
    if kind not in _WITH_RATE:
        rate = 1.0
    if kind not in _WITH_TIME:
        at = None
    return Sample(plain.name, plain.kind, plain.values, rate, tags, at, plain.member)


def _member(named: _Named, text: str) -> Sample | Bad:
    if not 0 < len(text) <= MAX_MEMBER_CHARS:
        return Bad.MEMBER
    return Sample(named[0], "set", (), 1.0, named[1], None, text)


@lru_cache(maxsize=8192)
def _name(text: str) -> _Named | Bad:
    """The name in its parts, and the tags behind it. Kept: a program says few names, and each many times."""
    name, comma, behind = text.partition(",")
    name = name.strip()
    if len(name) > MAX_NAME_CHARS:
        return Bad.LONG_NAME
    parts = name.split(".")
    if not all(parts):
        return Bad.EMPTY_NAME
    encoded = ".".join(map(node, parts))
    if len(encoded) > MAX_ENCODED_CHARS:
        return Bad.LONG_NAME
    tags = _tags(behind, "=") if comma else ()
    return tags if isinstance(tags, Bad) else (encoded, tags)


@lru_cache(maxsize=2048)
def _tags(text: str, sign: str) -> Tags | Bad:
    """Tags by name; of two with one name the last."""
    found: dict[str, str] = {}
    for item in text.split(",", MAX_TAGS):
        tag, _, value = item.strip().partition(sign)
        if not tag:
            continue
        if len(item) > MAX_TAG_CHARS or len(found) == MAX_TAGS or "," in item:
            return Bad.TAGS
        found[_NOT_IN_TAG_NAME.sub("_", tag)] = value.replace(";", "_").lstrip("~") or "true"
    return tuple(sorted(found.items()))


def _merged(first: Tags, second: Tags) -> Tags:
    return second if not first else tuple(sorted({**dict(first), **dict(second)}.items()))
