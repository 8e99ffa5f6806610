"""The one thread that touches a sqlite file: what arrives while a commit runs goes into the next one together."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")
Statement = Callable[[sqlite3.Connection], Any]
CallFromThread = Callable[..., object]

MAX_TOGETHER: Final = 500
_FULL: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
"""How a full disk shows itself."""


class _Request(Struct, frozen=True, eq=False):
    statement: Statement
    done: Deferred[Any]


class Writer:
    """Runs statements in transactions; a Deferred fires when its statement is on the disk.

    `on_full` is called in the reactor's thread, before the statement's Deferred fails, when the disk is full.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        call_from_thread: CallFromThread,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_full = on_full
        self._database = database
        self._call_from_thread = call_from_thread
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sqlite", daemon=True)
        self._was_full = False
        self.commits = 0

    def start(self) -> None:
        """Begin; requests made before are kept."""
        self._thread.start()

    def stop(self) -> None:
        """Commit all that was asked for, close the file."""
        self._queue.put(None)
        self._thread.join()

    def run(self, statement: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """Run a statement; the Deferred fires in the reactor's thread after the commit."""
        done: Deferred[T] = Deferred()
        self._queue.put(_Request(statement, done))
        return done

    def _work(self) -> None:
        more = True
        while more:
            requests, more = self._gather()
            if requests:
                self._call_from_thread(_tell, requests, self._commit(requests))
        self._database.close()

    def _gather(self) -> tuple[list[_Request], bool]:
        """Wait for one request and take all that are there."""
        requests: list[_Request] = []
        item = self._queue.get()
        while item is not None:
            requests.append(item)
            if self._queue.empty() or len(requests) >= MAX_TOGETHER:
                return requests, True
            item = self._queue.get()
        return requests, False

    def _commit(self, requests: list[_Request]) -> list[Any]:
        """Run all in one transaction; when that fails, each in its own, so that one does not fail the others."""
        try:
            return self._transaction(requests)
        except Exception:  # noqa: BLE001 (whatever it was, each request gets its own answer)
            return [self._alone(request) for request in requests]

    def _alone(self, request: _Request) -> Any:
        try:
            return self._transaction([request])[0]
        except Exception as error:  # noqa: BLE001 (it is told to who asked)
            if getattr(error, "sqlite_errorcode", None) in _FULL:
                self._was_full = True
                self._call_from_thread(self._on_full)
            return Failure()

    def _shorten_log(self) -> None:
        """After a full disk: the write-ahead log may hold more room than the next commit needs."""
        self._was_full = False
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _transaction(self, requests: list[_Request]) -> list[Any]:
        if self._was_full:
            self._shorten_log()
        self._database.execute("BEGIN IMMEDIATE")
        try:
            values = [request.statement(self._database) for request in requests]
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self.commits += 1
        return values


def _tell(requests: list[_Request], values: list[Any]) -> None:
    for request, value in zip(requests, values, strict=True):
        if not request.done.called:  # who asked may have been cancelled
            request.done.callback(value)
