"""Runs after the first, and the processes that live; the functions run in the writer's thread, in a transaction."""

import sqlite3
from collections.abc import Mapping, Sequence

from deployer_agent.journal.records import RUNS_KEPT, History, Key, RunRecord


def begin(database: sqlite3.Connection, key: Key, number: int, due: int, now: int) -> None:
    """Note that a run is about to start: it is never started again."""
    database.execute(
        "UPDATE job SET runs = ?, due = ?, started = ?, touched = ? WHERE id = ? AND run = ?",
        (number, due, now, now, *key),
    )


def end(database: sqlite3.Connection, key: Key, record: RunRecord, history: History, now: int) -> None:
    """Note that a run has ended and keep its record; the oldest beyond a hundred goes."""
    database.execute(
        "UPDATE job SET ended = ?, early = ?, due = ?, touched = ? WHERE id = ? AND run = ?",
        (history.ended, history.early, history.due, now, *key),
    )
    database.execute("INSERT OR REPLACE INTO run VALUES (?, ?, ?)", (record.task, record.number, record.record))
    database.execute("DELETE FROM run WHERE id = ? AND number <= ?", (record.task, record.number - RUNS_KEPT))


def kill(database: sqlite3.Connection, task: str) -> None:
    """Note that a task is to end for good."""
    database.execute("UPDATE job SET killed = 1 WHERE id = ? AND result IS NULL", (task,))


def unsent(database: sqlite3.Connection) -> list[RunRecord]:
    """Records that the master has not got, oldest first of each task."""
    return [RunRecord(*row) for row in database.execute("SELECT id, number, record FROM run ORDER BY id, number")]


def sent(database: sqlite3.Connection, keys: Sequence[Key]) -> None:
    """Forget records that the master has."""
    database.executemany("DELETE FROM run WHERE id = ? AND number = ?", keys)


def note_processes(database: sqlite3.Connection, footprints: Mapping[str, bytes], gone: Sequence[str]) -> None:
    """Keep and forget footprints by their markers."""
    database.executemany("INSERT OR REPLACE INTO process VALUES (?, ?)", footprints.items())
    database.executemany("DELETE FROM process WHERE marker = ?", [(marker,) for marker in gone])


def processes(database: sqlite3.Connection) -> list[bytes]:
    """All footprints."""
    return [row[0] for row in database.execute("SELECT footprint FROM process")]
