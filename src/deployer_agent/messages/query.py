"""Finds and removes messages in the files of one directory: by task, time, level, domain and name (seed 001).

Values are bound, never put into the SQL (J19). Files are looked at from the newest to the oldest, or the other way, and
only as far as a page needs; a file that is damaged is passed over and named.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from deployer_agent.messages import database as db
from deployer_agent.messages.files import CURRENT, Files

MOST_ITEMS: Final = 1000
MOST_BYTES: Final = 900 * 1000
_FIELDS: Final = "seq, id, jobid, domain, name, epoch, level, data, flags"
_ITEM_BYTES: Final = 500  # of what is around the data when it is written as JSON, names in full
_encode = msgspec.json.Encoder().encode


class Filter(Struct, frozen=True, kw_only=True):
    """Which messages; None: any. Times in epoch ms, both inclusive."""

    jobid: str | None = None
    timefrom: int | None = None
    timeto: int | None = None
    levels: frozenset[int] | None = None
    domain: str | None = None
    name: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its values."""
        parts: list[tuple[str, Any]] = [
            ("jobid = ?", self.jobid),
            ("epoch >= ?", self.timefrom),
            ("epoch <= ?", self.timeto),
            ("domain = ?", self.domain),
            ("name = ?", self.name),
        ]
        given = [(text, value) for text, value in parts if value is not None]
        conditions, values = [text for text, _ in given], [value for _, value in given]
        if self.levels is not None:
            conditions.append(_levels(self.levels))
            values += sorted(self.levels)
        return " AND ".join(conditions) or "1", values


def _levels(levels: frozenset[int]) -> str:
    """The index of levels holds those above 1: only a condition that says so uses it."""
    above = " AND level > 1" if levels and min(levels) > 1 else ""
    return f"level IN ({', '.join('?' * len(levels))}){above}"


class Found(Struct, frozen=True):
    """One message."""

    seq: int
    id: int
    jobid: str
    domain: str
    name: str
    epoch: int
    level: int
    data: str
    flags: int


class Page(Struct, frozen=True):
    """Some messages; `next` is where the following page begins, None at the end. `skipped`: files that are damaged."""

    items: Sequence[Found]
    next: int | None
    skipped: Sequence[str]


def page(files: Files, wanted: Filter, *, after: int | None, ascending: bool, count: int = MOST_ITEMS) -> Page:
    """Up to `count` messages and 900 kB of them, beyond the number `after` in the direction that is asked for."""
    items: list[Found] = []
    skipped: list[str] = []
    size = 0
    for path in _in_order(files, ascending=ascending):
        try:
            for found in _rows(path, wanted, after, ascending=ascending, count=count + 1 - len(items)):
                size += len(_encode(found.data)) + _ITEM_BYTES
                if items and (len(items) >= count or size > MOST_BYTES):
                    return Page(items, items[-1].seq, skipped)
                items.append(found)
        except sqlite3.Error:
            skipped.append(path.name)
    return Page(items, None, skipped)


def _in_order(files: Files, *, ascending: bool) -> list[Path]:
    newest_first = [files.current, *files.full()]
    found = [path for path in newest_first if path.exists()]
    return list(reversed(found)) if ascending else found


def _rows(path: Path, wanted: Filter, after: int | None, *, ascending: bool, count: int) -> Iterator[Found]:
    condition, values = wanted.where()
    if after is not None:
        condition += " AND seq > ?" if ascending else " AND seq < ?"
        values.append(after)
    order = "ASC" if ascending else "DESC"
    statement = f"SELECT {_FIELDS} FROM message WHERE {condition} ORDER BY seq {order} LIMIT ?"  # noqa: S608 (constants)
    with closing(db.open_reading(path)) as database:
        if path.name == CURRENT or _overlaps(database, wanted):
            for row in database.execute(statement, [*values, count]):
                yield Found(*row)


def _overlaps(database: sqlite3.Connection, wanted: Filter) -> bool:
    """Whether a full file has anything of the time that is asked for: two looks at its index."""
    if wanted.timefrom is None and wanted.timeto is None:
        return True
    first, last = database.execute(
        "SELECT (SELECT min(epoch) FROM message), (SELECT max(epoch) FROM message)"
    ).fetchone()
    if first is None:
        return False
    return not ((wanted.timefrom or 0) > last or (wanted.timeto is not None and wanted.timeto < first))


def delete_in_full(files: Files, wanted: Filter) -> tuple[int, list[str]]:
    """Remove all matches from the files that are full; how many, and which files were damaged."""
    removed, skipped = 0, []
    for path in files.full():
        try:
            with closing(db.open_deleting(path)) as database:
                removed += delete(database, wanted)
        except sqlite3.Error:
            skipped.append(path.name)
    return removed, skipped


def delete(database: sqlite3.Connection, wanted: Filter) -> int:
    """Remove all matches from one file; how many."""
    condition, values = wanted.where()
    return database.execute(f"DELETE FROM message WHERE {condition}", values).rowcount  # noqa: S608 (constants)
