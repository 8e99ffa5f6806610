"""The journal's table and the statements on it (RELIABILITY 2.4). Runs in the journal's thread."""

import sqlite3
from collections.abc import Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

SCHEMA_VERSION: Final = 1
KEEP_MS: Final = 8 * 86400 * 1000
"""Rows are kept this long past their command's `not_after`: a replay is known for as long as it would be taken."""

_SCHEMA = """
CREATE TABLE job (
  id TEXT NOT NULL, run INTEGER NOT NULL, sha BLOB NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL,
  not_after INTEGER NOT NULL, envelope BLOB, pid INTEGER, result BLOB, sent INTEGER NOT NULL DEFAULT 0,
  UNIQUE (id, run)
);
CREATE INDEX job_unsent ON job (sent) WHERE sent = 0;
CREATE INDEX job_end ON job (not_after);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class State(Enum):
    """Where a row stands. CLOSED: ended without a result of ours (cancelled, unknown to the master)."""

    ACCEPTED = "ACCEPTED"
    STARTED = "STARTED"
    FINISHED = "FINISHED"
    CLOSED = "CLOSED"


class Verdict(Enum):
    """What the journal says of a command that has come."""

    NEW = "NEW"
    KNOWN = "KNOWN"
    REPLAY = "REPLAY"
    TOO_OLD = "TOO_OLD"


class NewRow(Struct, frozen=True):
    """A command to be remembered. `sha` identifies its payload; times in epoch ms."""

    id: str
    run: int
    sha: bytes
    created: int
    not_after: int
    envelope: bytes


class OpenRow(Struct, frozen=True):
    """A row that the master does not know the end of."""

    id: str
    run: int
    state: State
    envelope: bytes
    result: bytes | None


def prepare(connection: sqlite3.Connection) -> int:
    """Make the tables of a new journal; the schema's version."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        return SCHEMA_VERSION
    return version


def get_meta(connection: sqlite3.Connection, name: str) -> str | None:
    """A value that is kept beside the rows."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a value beside the rows."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def accept(connection: sqlite3.Connection, rows: Sequence[NewRow]) -> list[Verdict]:
    """Remember commands; what is known already is told apart from what only has the same id."""
    horizon = int(get_meta(connection, "horizon") or -1)
    return [_accept(connection, row, horizon) for row in rows]


def _accept(connection: sqlite3.Connection, row: NewRow, horizon: int) -> Verdict:
    known = connection.execute("SELECT sha FROM job WHERE id = ? AND run = ?", (row.id, row.run)).fetchone()
    if known is not None:
        return Verdict.KNOWN if known[0] == row.sha else Verdict.REPLAY
    connection.execute(
        "INSERT INTO job (id, run, sha, state, created, not_after, envelope) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (row.id, row.run, row.sha, State.ACCEPTED.value, row.created, row.not_after, row.envelope),
    )
    return Verdict.TOO_OLD if row.created <= horizon else Verdict.NEW


def start(connection: sqlite3.Connection, keys: Sequence[tuple[str, int]]) -> None:
    """These are about to run."""
    connection.executemany("UPDATE job SET state = 'STARTED' WHERE id = ? AND run = ? AND state = 'ACCEPTED'", keys)


def finish(connection: sqlite3.Connection, results: Sequence[tuple[bytes, str, int]]) -> None:
    """These have ended: (result, id, run). The data of a command is not needed any more."""
    connection.executemany(
        "UPDATE job SET state = 'FINISHED', result = ?, envelope = NULL "
        "WHERE id = ? AND run = ? AND state IN ('ACCEPTED', 'STARTED')",
        results,
    )


def close(connection: sqlite3.Connection, keys: Sequence[tuple[str, int]]) -> None:
    """The master has an end for these that is not ours: they never run."""
    connection.executemany("UPDATE job SET state = 'CLOSED', sent = 1, envelope = NULL WHERE id = ? AND run = ?", keys)


def mark_sent(connection: sqlite3.Connection, keys: Sequence[tuple[str, int]]) -> None:
    """The master keeps these results from now on."""
    connection.executemany("UPDATE job SET sent = 1, result = NULL WHERE id = ? AND run = ?", keys)


def lookup(connection: sqlite3.Connection, task: str) -> State | None:
    """How the newest run of a task stands; None when it is not known here."""
    row = connection.execute("SELECT state FROM job WHERE id = ? ORDER BY run DESC LIMIT 1", (task,)).fetchone()
    return None if row is None else State(row[0])


def open_rows(connection: sqlite3.Connection) -> list[OpenRow]:
    """What has to be gone on with after a start, in the order it came."""
    rows = connection.execute("SELECT id, run, state, envelope, result FROM job WHERE sent = 0 ORDER BY rowid")
    return [OpenRow(id_, run, State(state), envelope or b"", result) for id_, run, state, envelope, result in rows]


def forget(connection: sqlite3.Connection, now_ms: int) -> int:
    """Remove up to 1,000 old rows and note the newest command among them; how many went."""
    rows = connection.execute(
        "SELECT rowid, created FROM job WHERE sent = 1 AND not_after < ? LIMIT 1000", (now_ms - KEEP_MS,)
    ).fetchall()
    if rows:
        horizon = max(int(get_meta(connection, "horizon") or -1), *(created for _, created in rows))
        set_meta(connection, "horizon", str(horizon))
        connection.executemany("DELETE FROM job WHERE rowid = ?", [(rowid,) for rowid, _ in rows])
    return len(rows)
