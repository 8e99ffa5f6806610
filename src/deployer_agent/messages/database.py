"""One file of messages: one table, whose rows are in the order in which they were said.

`seq` is the agent's 64-bit number, which never wraps; `id` its lowest 32 bits, as seed 001 has it. While a file is
written it has the index that every task's log needs, and one for what is not plain output; the others are made once,
when it is full.
"""

import sqlite3
from pathlib import Path
from typing import Final

from deployer.kit.sqlitefile import open_file

VERSION: Final = 1
TABLE: Final = "message"

_SCHEMA: Final = """
CREATE TABLE message (
    seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, jobid TEXT NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL,
    epoch INTEGER NOT NULL, level INTEGER NOT NULL, data TEXT NOT NULL, flags INTEGER NOT NULL
);
CREATE INDEX message_job ON message (jobid);
CREATE INDEX message_level ON message (level) WHERE level > 1;
"""
_WHEN_FULL: Final = """
CREATE INDEX IF NOT EXISTS message_epoch ON message (epoch);
CREATE INDEX IF NOT EXISTS message_name ON message (domain, name);
"""
_CHECKPOINT_PAGES: Final = 4000


class WrongFile(sqlite3.DatabaseError):
    """It is no file of messages, or one of a newer agent."""


def open_current(path: Path) -> sqlite3.Connection:
    """Open the file that is written, making it when there is none; sqlite3.DatabaseError when it is damaged."""
    return open_file(path, _prepare)


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA page_size = 8192")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    database.execute("PRAGMA cache_size = -8192")
    version = _version(database)
    if version == 0:
        database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise WrongFile(f"it has schema {version}, this agent knows {VERSION}")
    database.execute("SELECT max(seq) FROM message").fetchone()


def close_full(database: sqlite3.Connection) -> None:
    """Bring everything into the one file, so that it can be renamed."""
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("PRAGMA journal_mode = DELETE")
    database.close()


def index_full(path: Path) -> None:
    """Make what finds messages by time and by name: done beside the writing, as it takes a second or two."""
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA synchronous = OFF")  # it can be made again
        database.executescript(_WHEN_FULL)
    finally:
        database.close()


def open_reading(path: Path) -> sqlite3.Connection:
    """Open a file to look for messages; sqlite3.DatabaseError when it is damaged."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    try:
        version = _version(database)
    except BaseException:
        database.close()
        raise
    if version != VERSION:
        database.close()
        raise WrongFile("it is no file of messages")
    return database


def open_deleting(path: Path) -> sqlite3.Connection:
    """Open a full file to remove messages from it."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def size(database: sqlite3.Connection) -> int:
    """Bytes that the file has, or will have."""
    pages = int(database.execute("PRAGMA page_count").fetchone()[0])
    return pages * int(database.execute("PRAGMA page_size").fetchone()[0])


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])
