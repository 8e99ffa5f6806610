r"""Lines of InfluxDB's line protocol (version 1), as Telegraf writes them. Pure; never an error.

    measurement[,tag=value,…] field=value[,field=value,…] [time]

A backslash before a comma, a blank, an equals sign or a backslash stands for that, and no name goes on over a line
end (else each bad line would be read to the end of the body); in a string, which may go on over
line ends, before `"` and `\`. Fields are floats, integers (`1i`), unsigned ones (`1u`), booleans (1 and 0) and strings,
which are no numbers and only counted. Lines that begin with `#` are comments.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from math import isfinite
from typing import Final

from msgspec import Struct

MAX_FIELDS: Final = 1000
MAX_NUMBER_CHARS: Final = 32
MAX_HEAD_CHARS: Final = 8192
SHOWN_CHARS: Final = 80
TICKS_PER_S: Final = {
    **dict.fromkeys(("", "n", "ns"), 1_000_000_000),
    **dict.fromkeys(("u", "us", "µ"), 1_000_000),
    "ms": 1000,
    "s": 1,
}
S_PER_TICK: Final = {"m": 60, "h": 3600}
PRECISIONS: Final = (*TICKS_PER_S, *S_PER_TICK)

_KEY: Final = r"(?:[^,=\s\\]|\\[^\n])++"
_VALUE: Final = r'(?:"(?:[^"\\]|\\.)*+"|[^",=\s]++)'
_LINE: Final = re.compile(
    rf"[ \t]*+((?:[^,\s\\]|\\[^\n])++(?:,{_KEY}={_KEY})*+)[ ]++({_KEY}={_VALUE}(?:,{_KEY}={_VALUE})*+)"
    r"(?:[ ]++(-?[0-9]{1,20}))?[ \t\r]*+(?:\n|\Z)",
    re.DOTALL | re.ASCII,
)
_FIELD: Final = re.compile(rf"({_KEY})=({_VALUE})", re.DOTALL)
_COMMA: Final = re.compile(r",((?:[^,=\s\\]|\\.)++)=((?:[^,=\s\\]|\\.)++)", re.DOTALL)
_MEASUREMENT: Final = re.compile(r"(?:[^,\s\\]|\\.)++", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\([,= \\])")
_BOOLS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}

Tags = tuple[tuple[str, str], ...]


class Line(Struct, frozen=True, gc=False):
    """What a line says. `at`: epoch seconds, None for now; `strings`: fields that are no numbers."""

    measurement: str
    tags: Tags
    fields: tuple[tuple[str, float], ...]
    strings: int
    at: int | None


class BadLine(Struct, frozen=True, gc=False):
    """A line that says nothing: its number, from 1 on, and its beginning."""

    number: int
    text: str


def lines(text: str, precision: str = "") -> Iterator[Line | BadLine]:
    """What each line of a body says; `precision` is one of PRECISIONS."""
    begin, number = 0, 1
    while begin < len(text):
        if text[begin] == "\n" or (end := _comment(text, begin)) == begin:
            end = begin + 1
        elif end < 0:
            match = _LINE.match(text, begin)
            end = _next(text, begin) if match is None else match.end()
            yield (None if match is None else _line(match, precision)) or BadLine(
                number, text[begin : min(end, begin + SHOWN_CHARS)].rstrip()
            )
        number += text.count("\n", begin, end)
        begin = end


def _comment(text: str, begin: int) -> int:
    """Where a comment or a blank line ends; -1 for what is neither, `begin` for a carriage return alone."""
    if text[begin] == "\r":
        return begin
    return _next(text, begin) if text[begin] == "#" else -1


def _next(text: str, begin: int) -> int:
    end = text.find("\n", begin)
    return len(text) if end < 0 else end + 1


def _line(match: re.Match[str], precision: str) -> Line | None:
    head, body, stamp = match.groups()
    if len(head) > MAX_HEAD_CHARS:
        return None
    measurement, tags = _head(head)
    found = _FIELD.findall(body)
    numbers = [(name, number) for name, value in found if (number := _number(value)) is not None]
    strings = sum(value[0] == '"' for _, value in found)
    if len(found) > MAX_FIELDS or len(numbers) + strings < len(found):
        return None
    fields = tuple((_plain(name), number) for name, number in numbers)
    return Line(measurement, tags, fields, strings, None if stamp is None else _seconds(int(stamp), precision))


@lru_cache(maxsize=4096)
def _head(text: str) -> tuple[str, Tags]:
    """Measurement and tags. Kept: a sender says the same each time."""
    match = _MEASUREMENT.match(text)
    measurement = "" if match is None else match[0]
    found = {_plain(name): _plain(value) for name, value in _COMMA.findall(text, len(measurement))}
    return _plain(measurement), tuple(sorted(found.items()))


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _number(text: str) -> float | None:
    """None for a string, and for what is no finite number."""
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] == '"' or len(text) > MAX_NUMBER_CHARS or "_" in text or not text.isascii():
        return None
    try:
        number = float(int(text[:-1])) if text[-1] in "iu" else float(text)
    except ValueError:
        return None
    return number if isfinite(number) and not (text[-1] == "u" and number < 0) else None


def _seconds(ticks: int, precision: str) -> int:
    return ticks * S_PER_TICK[precision] if precision in S_PER_TICK else ticks // TICKS_PER_S[precision]
