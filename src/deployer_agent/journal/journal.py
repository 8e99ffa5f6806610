"""The journal: sqlite in one thread of its own, where all that waits is committed together.

`journal_mode=WAL; synchronous=FULL`: what an answer here has confirmed survives a crash of the agent and of the host.
The reactor never waits for the disk.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from deployer_agent.errors import StartError
from deployer_agent.journal import rows

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]


class Journal:
    """Runs functions of `rows` in transactions."""

    def __init__(self, path: Path, reactor: Any) -> None:
        self._path = path
        self._reactor = reactor
        self._pool = ThreadPool(1, 1, name="journal")
        self._waiting: list[tuple[Work, Deferred[Any]]] = []
        self._committing: Deferred[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self.commits = 0

    def open(self) -> None:
        """Open or make the file; StartError when it is damaged, unreadable, or from a newer agent."""
        try:
            self._connection = _open(self._path)
        except sqlite3.DatabaseError as error:
            raise StartError(
                f"the journal {self._path} cannot be used ({error}): restore it, or move it away and accept that "
                "commands which it remembered may be refused or reported as unknown"
            ) from None
        self._pool.start()

    async def close(self) -> None:
        """Finish what waits, then close."""
        if self._connection is None:
            return
        while self._committing is not None:
            await self._committing
        await deferToThreadPool(self._reactor, self._pool, self._connection.close)
        self._connection = None
        self._pool.stop()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do this in the next transaction; its result once that is on disk."""
        done: Deferred[T] = Deferred()
        self._waiting.append((work, done))
        if self._committing is None:
            self._commit_next()
        return await done

    def _commit_next(self) -> None:
        batch, self._waiting = self._waiting, []
        self._committing = Deferred()
        running = deferToThreadPool(self._reactor, self._pool, self._transaction, [work for work, _ in batch])
        running.addBoth(self._committed, [done for _, done in batch])

    def _committed(self, outcome: Any, dones: list[Deferred[Any]]) -> None:
        self.commits += 1
        committing, self._committing = self._committing, None
        if self._waiting:
            self._commit_next()
        answers = [outcome] * len(dones) if isinstance(outcome, Failure) else outcome
        for done, answer in zip(dones, answers, strict=True):
            done.callback(answer)
        if committing is not None:
            committing.callback(None)

    def _transaction(self, works: list[Work]) -> list[Any]:
        """In the thread: all of them or none, except that one which fails in itself fails alone."""
        connection = self._connection
        assert connection is not None  # noqa: S101 (for the type checker: it is open while the pool runs)
        connection.execute("BEGIN IMMEDIATE")
        try:
            answers = [_attempt(connection, work) for work in works]
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return answers


def _attempt(connection: sqlite3.Connection, work: Work) -> Any:
    connection.execute("SAVEPOINT work")
    try:
        answer = work(connection)
    except sqlite3.Error:
        failure = Failure()
        connection.execute("ROLLBACK TO work")
        return failure
    finally:
        connection.execute("RELEASE work")
    return answer


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    version = rows.prepare(connection)
    if version > rows.SCHEMA_VERSION:
        raise StartError(f"the journal {path} was written by a newer agent (schema {version}): run that one")
    broken = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if broken != "ok":
        raise sqlite3.DatabaseError(str(broken))
    return connection
