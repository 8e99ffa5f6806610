r"""Series as InfluxDB has them: line protocol to write, InfluxQL to read. Pure.

The measurement is the series' path, its tags are its tags and `deployer_company`; the one field is `value`. In tags
`%` and `\` are percent-encoded, and so is the first letter of a tag whose name InfluxDB or we use ourselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from deployer.model.series import canonical, split
from deployer.model.slots import Rows
from deployer.protocol.stats import How

COMPANY: Final = "deployer_company"
_TAKEN: Final = frozenset({COMPANY, "time", "_field", "_measurement"})
_ESCAPES: Final = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_ENCODED: Final = str.maketrans({"%": "%25", "\\": "%5C"})
_FUNCTIONS: Final[Mapping[How, str]] = {"sum": "sum", "average": "mean", "min": "min", "max": "max", "last": "last"}


class Found(Struct, frozen=True):
    """One series of an answer: rows of a time (epoch seconds) and a value."""

    name: str
    values: list[tuple[int, float | None]]
    tags: dict[str, str] = {}


class _Statement(Struct, frozen=True):
    series: list[Found] = []
    error: str | None = None


class _Answer(Struct, frozen=True):
    results: list[_Statement] = []
    error: str | None = None


class QueryError(Exception):
    """What InfluxDB says is wrong with a query, or that its answer cannot be read."""


def lines(company: str, rows: Rows) -> Iterator[str]:
    """One line of the line protocol for each point, with seconds as time."""
    for series, points in rows.items():
        path, tags = split(series)
        its = sorted([(COMPANY, company), *((_name(name), value.translate(_ENCODED)) for name, value in tags.items())])
        front = path + "".join(f",{name.translate(_ESCAPES)}={value.translate(_ESCAPES)}" for name, value in its)
        for at, value in points:
            yield f"{front} value={value!r} {at}"


def _name(tag: str) -> str:
    return f"%{ord(tag[0]):02X}{tag[1:]}" if tag in _TAKEN else tag.translate(_ENCODED)


def select(company: str, paths: Iterable[str], how: How, span: tuple[int, int], step: int) -> str:
    """The query for all series of these paths between two times, in slots of `step` seconds."""
    sources = ",".join(f'"{path}"' for path in paths)
    return (
        f'SELECT {_FUNCTIONS[how]}("value") FROM {sources} WHERE "{COMPANY}" = {_quoted(company)} '  # noqa: S608 (quoted)
        f"AND time >= {span[0]}s AND time < {span[1]}s GROUP BY time({step}s), * fill(none)"
    )


def drop(company: str, series: str) -> str:
    """The command that forgets a series."""
    path, tags = split(series)
    its = "".join(f" AND {_column(name)} = {_quoted(value.translate(_ENCODED))}" for name, value in tags.items())
    return f'DROP SERIES FROM "{path}" WHERE "{COMPANY}" = {_quoted(company)}{its}'


def _column(tag: str) -> str:
    return '"' + _name(tag).replace('"', '\\"') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def read(answer: bytes) -> dict[str, Sequence[tuple[int, float | None]]]:
    """Values by canonical name. QueryError."""
    try:
        its = _decode(answer)
    except msgspec.DecodeError as error:
        raise QueryError(f"its answer cannot be read: {error}") from None
    wrong = its.error or next((one.error for one in its.results if one.error), None)
    if wrong:
        raise QueryError(wrong)
    return {_series(one): one.values for result in its.results for one in result.series}


def _series(found: Found) -> str:
    tags = [(unquote(name), unquote(value)) for name, value in found.tags.items() if name != COMPANY and value]
    return canonical(found.name, tags)


_decode: Any = msgspec.json.Decoder(_Answer).decode
