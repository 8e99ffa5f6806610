"""The file of the journal: opened, checked, never replaced in silence (RELIABILITY 2.4, A10)."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from deployer.kit.files import sync_dir
from deployer.kit.sqlitefile import open_file
from deployer_agent.errors import JournalError
from deployer_agent.journal.damage import damage, require_private, require_writable

VERSION: Final = 2
_BUSY_S: Final = 1.0

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, run INTEGER NOT NULL,
    stage TEXT NOT NULL, digest TEXT NOT NULL, payload TEXT NOT NULL, data TEXT NOT NULL,
    created INTEGER NOT NULL, not_after INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0, touched INTEGER NOT NULL,
    result BLOB, sent INTEGER NOT NULL DEFAULT 0,
    UNIQUE (id, run)
);
CREATE INDEX job_unsent ON job (seq) WHERE sent = 0;
CREATE INDEX job_sent ON job (max(not_after, touched)) WHERE sent = 1;
"""

_SUPERVISION: Final = """
ALTER TABLE job ADD COLUMN runs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN early INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN killed INTEGER NOT NULL DEFAULT 0;
CREATE TABLE run (
    id TEXT NOT NULL, number INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (id, number)
) WITHOUT ROWID;
CREATE TABLE process (marker TEXT PRIMARY KEY, footprint BLOB NOT NULL) WITHOUT ROWID;
"""
"""What schema 2 has more: `runs` begun and `ended` of a task, its `early` ends, when a run was last `due`, whether it
was `killed`; the records of finished runs that the master has not got; by what living processes are found."""

_BEGUN: Final = "UPDATE job SET runs = 1 WHERE stage = 'STARTED';"
_MIGRATIONS: Final = {1: f"{_SUPERVISION} {_BEGUN}"}
"""What makes a schema the next one."""


def create_database(path: Path, instance: str) -> None:
    """Make the journal of an agent that never had one, whole or not at all; JournalError when it cannot be made."""
    try:
        _create(path, instance)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"the journal {path} cannot be made ({error})") from error


def _create(path: Path, instance: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    with closing(sqlite3.connect(temporary)) as database:
        database.executescript(_SCHEMA + _SUPERVISION)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("INSERT INTO meta VALUES ('instance', ?), ('horizon', '0'), ('messages', '0')", (instance,))
        database.commit()
    temporary.replace(path)
    sync_dir(path.parent)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the journal and hold it alone; JournalError when it cannot be used."""
    if not path.exists():
        raise JournalError(f"the journal {path} is missing although this agent has a key; {_ADVICE}")
    _require_sound(path)
    try:
        return open_file(path, lambda database: _prepare(database, path), timeout_s=_BUSY_S)
    except sqlite3.DatabaseError as error:
        raise JournalError(_sentence(path, error)) from error


def _require_sound(path: Path) -> None:
    require_private(path)
    require_writable(path)
    reason = damage(path)
    if reason is not None:
        raise JournalError(f"the journal {path} {reason}; {_ADVICE}")


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.execute("PRAGMA locking_mode = EXCLUSIVE")  # a second agent on this directory is refused
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN IMMEDIATE")
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    database.execute("COMMIT")
    if version != VERSION and version not in _MIGRATIONS:
        raise JournalError(_wrong_version(path, version))
    _check(database, path)
    for known in range(version, VERSION):
        _migrate(database, known)


def _migrate(database: sqlite3.Connection, version: int) -> None:
    """From one schema to the next, whole or not at all."""
    step = f"BEGIN IMMEDIATE; {_MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;"
    database.executescript(step)


def _check(database: sqlite3.Connection, path: Path) -> None:
    outcome = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if outcome != "ok":
        raise JournalError(f"the journal {path} is damaged ({outcome}); {_ADVICE}")


_ADVICE: Final = (
    "it is not replaced, as tasks could run twice: restore it, or move it away and join the agent with a new key"
)


def _wrong_version(path: Path, version: int) -> str:
    if version > VERSION:
        return f"the journal {path} has schema {version}, this agent knows {VERSION}: install a newer agent"
    return f"the journal {path} has lost its contents; {_ADVICE}"


def _sentence(path: Path, error: sqlite3.DatabaseError) -> str:
    if "locked" in str(error):
        return f"the journal {path} is in use: another agent runs with this data directory"
    return f"the journal {path} cannot be used ({error}); {_ADVICE}"
