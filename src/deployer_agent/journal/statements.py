"""What is read from and written to the journal; the functions run in the writer's thread, in a transaction."""

import sqlite3
from collections.abc import Sequence

from deployer_agent.journal.records import KEEP_MS, Entry, History, Key, Known, Open, Stage, TooOld


def accept(database: sqlite3.Connection, entries: Sequence[Entry], now: int, too_old: TooOld) -> list[Known]:
    """Write down what is new, refused or not; tell what was known of the rest."""
    horizon = int(get(database, "horizon"))
    return [_accept(database, entry, horizon, now, too_old) for entry in entries]


def _accept(database: sqlite3.Connection, entry: Entry, horizon: int, now: int, too_old: TooOld) -> Known:
    row = database.execute("SELECT digest, stage, result FROM job WHERE id = ? AND run = ?", entry.key).fetchone()
    if row is None:
        return _insert(database, entry, now, too_old(entry) if entry.command.created <= horizon else entry.refusal)
    if row[0] != entry.digest:
        return Known("other")
    if row[1] == "ENDED":  # it was not to run and never did; the master now says otherwise
        _revive(database, entry, now)
        return Known("new")
    if row[1] == "FINISHED":
        database.execute("UPDATE job SET sent = 0 WHERE id = ? AND run = ?", entry.key)
    return Known("same", row[1], row[2])


def _insert(database: sqlite3.Connection, entry: Entry, now: int, refusal: bytes | None) -> Known:
    command = entry.command
    stage: Stage = "ACCEPTED" if refusal is None else "FINISHED"
    database.execute(
        "INSERT INTO job (id, run, stage, digest, payload, data, created, not_after, touched, result)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *entry.key,
            stage,
            entry.digest,
            "" if refusal else entry.payload,
            "" if refusal else entry.data,
            command.created,
            command.not_after,
            now,
            refusal,
        ),
    )
    return Known("new", stage, refusal)


def _revive(database: sqlite3.Connection, entry: Entry, now: int) -> None:
    database.execute(
        "UPDATE job SET stage = 'ACCEPTED', payload = ?, data = ?, touched = ?, sent = 0 WHERE id = ? AND run = ?",
        (entry.payload, entry.data, now, *entry.key),
    )


def start(database: sqlite3.Connection, keys: Sequence[Key], now: int) -> None:
    """Note that these are about to start: from here on their first run is never started again."""
    database.executemany(
        "UPDATE job SET stage = 'STARTED', runs = 1, started = ?, due = ?, touched = ? WHERE id = ? AND run = ?",
        [(now, now, now, *key) for key in keys],
    )


def finish(database: sqlite3.Connection, results: Sequence[tuple[Key, bytes]], now: int) -> None:
    """Keep results until the master has them; the first result of a task stays."""
    database.executemany(
        "UPDATE job SET stage = 'FINISHED', result = ?, touched = ?, data = '', sent = 0"
        " WHERE id = ? AND run = ? AND result IS NULL",
        [(result, now, *key) for key, result in results],
    )


def end(database: sqlite3.Connection, keys: Sequence[Key], now: int) -> None:
    """Close rows that never ran and will not."""
    database.executemany(
        "UPDATE job SET stage = 'ENDED', touched = ?, payload = '', data = '', sent = 1 WHERE id = ? AND run = ?",
        [(now, *key) for key in keys],
    )


def sent(database: sqlite3.Connection, keys: Sequence[Key]) -> None:
    """Note that the master has these results for ever."""
    database.executemany("UPDATE job SET sent = 1, payload = '' WHERE id = ? AND run = ?", keys)


def unsent(database: sqlite3.Connection) -> list[Open]:
    """Everything that the master still has to hear of, oldest first."""
    rows = database.execute(
        "SELECT id, run, stage, payload, data, result, started, killed, runs, ended, early, due"
        " FROM job WHERE sent = 0 ORDER BY seq"
    )
    return [
        Open((row[0], row[1]), row[2], row[3], row[4], row[5], row[6], History(*row[8:]), bool(row[7])) for row in rows
    ]


def knows(database: sqlite3.Connection, task: str) -> bool:
    """Tell whether a task was ever taken here (and not forgotten yet)."""
    return database.execute("SELECT 1 FROM job WHERE id = ? LIMIT 1", (task,)).fetchone() is not None


def forget(database: sqlite3.Connection, now: int) -> int:
    """Remove rows a week after their end and deadline; the horizon then refuses what is as old as they."""
    old = "sent = 1 AND max(not_after, touched) < ?"
    newest = database.execute(f"SELECT max(created), count(*) FROM job WHERE {old}", (now - KEEP_MS,)).fetchone()  # noqa: S608 (a constant)
    if newest[1]:
        database.execute(f"DELETE FROM job WHERE {old}", (now - KEEP_MS,))  # noqa: S608 (as above)
        put(database, "horizon", str(max(int(get(database, "horizon")), newest[0])))
    return int(newest[1])


def get(database: sqlite3.Connection, key: str, usual: str = "") -> str:
    """Read one value that belongs to the journal itself."""
    row = database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return usual if row is None else str(row[0])


def put(database: sqlite3.Connection, key: str, value: str) -> None:
    """Change one."""
    database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
