"""Batches on the disk, while the master is away and over a restart of the agent (RELIABILITY 2.7).

Messages are best effort: a file that is damaged is put aside and a new one begun, which the log says.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.clock import WallClock
from deployer.kit.sqlitefile import open_file
from deployer.kit.sqlitewriter import Writer
from deployer_agent.outbox.batch import Batch, Share

VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE batch (
    place INTEGER PRIMARY KEY, boot TEXT NOT NULL, seq INTEGER NOT NULL, size INTEGER NOT NULL,
    shares BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (boot, seq)
);
"""
_SIDES: Final = ("", "-wal", "-shm")

_encode = msgspec.json.Encoder().encode
_shares = msgspec.json.Decoder(list[Share]).decode
_log = Logger()


class Spool:
    """The open file. Methods that write return a Deferred that fires when it is done."""

    def __init__(self, database: sqlite3.Connection, call_from_thread: Callable[..., object]) -> None:
        self.left = _left(database)
        self._writer = Writer(database, call_from_thread)
        self._writer.start()

    @classmethod
    def open(cls, path: Path, wall: WallClock, call_from_thread: Callable[..., object]) -> "Spool":
        """Open the file or make it; `left` are the batches that an earlier agent could not post, oldest first."""
        try:
            return cls(open_file(path, _prepare), call_from_thread)
        except sqlite3.OperationalError:
            raise
        except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
            aside = path.with_name(f"{path.name}.bad.{int(wall())}")
            _log.error(
                "{file} was damaged ({error}) and is now {aside}", file=path.name, error=str(error), aside=aside.name
            )
            _put_aside(path, aside)
            return cls(open_file(path, _prepare), call_from_thread)

    def close(self) -> None:
        """Write what was asked for and close the file."""
        self._writer.stop()

    def write(self, batch: Batch) -> Deferred[None]:
        """Keep a batch."""
        row = (batch.boot, batch.seq, batch.size, _encode(batch.shares), batch.body)
        return self._writer.run(lambda database: _write(database, row))

    def load(self, batch: Batch) -> Deferred[bytes | None]:
        """Return the body of a batch; None when it is not there any more."""
        return self._writer.run(lambda database: _load(database, batch))

    def delete(self, batch: Batch) -> Deferred[None]:
        """Forget a batch."""
        return self._writer.run(lambda database: _delete(database, batch))


def _write(database: sqlite3.Connection, row: tuple[object, ...]) -> None:
    database.execute("INSERT OR IGNORE INTO batch (boot, seq, size, shares, body) VALUES (?, ?, ?, ?, ?)", row)


def _load(database: sqlite3.Connection, batch: Batch) -> bytes | None:
    row = database.execute("SELECT body FROM batch WHERE boot = ? AND seq = ?", (batch.boot, batch.seq)).fetchone()
    return None if row is None else row[0]


def _delete(database: sqlite3.Connection, batch: Batch) -> None:
    database.execute("DELETE FROM batch WHERE boot = ? AND seq = ?", (batch.boot, batch.seq))


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA journal_size_limit = 16777216")
    with closing(database.execute("PRAGMA user_version")) as cursor:
        version = cursor.fetchone()[0]
    if version == 0:
        database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise sqlite3.DatabaseError(f"schema {version}, not {VERSION}")


def _left(database: sqlite3.Connection) -> Sequence[Batch]:
    rows = database.execute("SELECT boot, seq, size, shares FROM batch ORDER BY place")
    return [Batch(boot, seq, size, _shares(shares), None, stored=True) for boot, seq, size, shares in rows]


def _put_aside(path: Path, aside: Path) -> None:
    for side in _SIDES[1:]:
        path.with_name(path.name + side).unlink(missing_ok=True)
    path.rename(aside)
