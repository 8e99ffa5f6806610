"""Keeps messages: a bounded queue, one thread that writes it in batches, a new file when one is full.

Who prints faster than the disk takes is not read for a while, so nothing is lost; each process is held by itself, so
that one that says little is not held up by one that says much.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from deployer.kit.clock import WallClock
from deployer_agent.messages import database as db
from deployer_agent.messages.files import Files

MIB: Final = 1024 * 1024
HOLD_BYTES: Final = 2 * MIB
"""How much of one process may wait to be written before it is not read any more."""

BATCH_ROWS: Final = 5000
CHECK_ROWS: Final = 20_000
ROWS_A_STATEMENT: Final = 200
"""A statement of many rows takes two thirds of the time, and lets go of the interpreter's lock less often."""

_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT: Final = f"INSERT INTO message VALUES {_ROW}"  # noqa: S608 (constants)
_INSERT_MANY: Final = f"INSERT INTO message VALUES {', '.join([_ROW] * ROWS_A_STATEMENT)}"  # noqa: S608 (as above)

Row = tuple[int, int, str, str, str, int, int, str, int]
"""seq, id, jobid, domain, name, epoch (ms), level, data, flags."""


class Bounds(Struct, frozen=True):
    """Of one file and of all together, in bytes."""

    file: int = 100 * MIB
    total: int = 2048 * MIB


class Parcel(Struct, frozen=True, eq=False):
    """Rows of one task that were taken together."""

    task: str
    rows: Sequence[Row]
    size: int


class MessageStore:
    """Takes rows, writes them. `on_hold(task, held)` stops and starts the reading of one process.

    `may_write`: whether the disk has room for what is not the journal; rows that come while it has none are counted.
    """

    log = Logger()

    def __init__(
        self,
        directory: Path,
        bounds: Bounds,
        wall: WallClock,
        call_from_thread: Callable[..., object],
        *,
        on_hold: Callable[[str, bool], None],
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._may_write = may_write
        self.files = Files(directory)
        self._bounds = bounds
        self._wall = wall
        self._call_from_thread = call_from_thread
        self._on_hold = on_hold
        self._waiting: dict[str, int] = {}
        self._held: set[str] = set()
        self._queue: deque[Parcel | _Errand] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="messages", daemon=True)
        self._database: sqlite3.Connection | None = None
        self._unchecked = 0
        self._failing = False
        self.written = 0
        self.lost = 0
        self.files_dropped = 0

    def start(self) -> None:
        """Open the current file (putting a damaged one aside) and begin to write."""
        self.files.directory.mkdir(mode=0o700, exist_ok=True)
        self._database = self._open()
        self._thread.start()

    def stop(self) -> None:
        """Write what was taken and close the file."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def add(self, task: str, rows: Sequence[Row], size: int) -> None:
        """Take rows of one task, in order; `size`: bytes of their data."""
        waiting = self._waiting.get(task, 0) + size
        self._waiting[task] = waiting
        if waiting > HOLD_BYTES and task not in self._held:
            self._held.add(task)
            self._on_hold(task, True)
        self._put(Parcel(task, rows, size))

    def written_through(self) -> Deferred[None]:
        """Fire when everything that was taken so far is written."""
        return self.run(lambda _: None)

    def kept(self, task: str) -> Deferred[None]:
        """Fire when all of a task that was taken so far is written: at once when nothing of it waits."""
        return self.written_through() if task in self._waiting else succeed(None)

    def run(self, statement: Callable[[sqlite3.Connection], object]) -> Deferred[None]:
        """Run a statement on the current file behind what was taken so far."""
        errand = _Errand(statement, Deferred())
        self._put(errand)
        return errand.done

    def _put(self, item: "Parcel | _Errand") -> None:
        with self._wake:
            self._queue.append(item)
            if len(self._queue) == 1:
                self._wake.notify()

    def _release(self, sizes: dict[str, int]) -> None:
        """In the reactor's thread: what was written waits no more."""
        for task, size in sizes.items():
            left = self._waiting[task] - size
            if left:
                self._waiting[task] = left
            else:
                del self._waiting[task]
            if task in self._held and left < HOLD_BYTES // 2:
                self._held.discard(task)
                self._on_hold(task, False)

    def _work(self) -> None:
        while (items := self._take()) is not None:
            parcels = [item for item in items if isinstance(item, Parcel)]
            if parcels:
                self._write(parcels)
            for item in items:
                if isinstance(item, _Errand):
                    self._call_from_thread(*self._do(item))
        if self._database is not None:
            self._database.close()

    def _take(self) -> "list[Parcel | _Errand] | None":
        """Wait for something and take parcels up to a batch, or up to and with one errand; None at the end."""
        with self._wake:
            while not self._queue:
                if self._stopping:
                    return None
                self._wake.wait()
            items: list[Parcel | _Errand] = []
            rows = 0
            while self._queue and rows < BATCH_ROWS:
                items.append(self._queue.popleft())
                if isinstance(items[-1], _Errand):
                    break
                rows += len(items[-1].rows)
            return items

    def _write(self, parcels: Sequence[Parcel]) -> None:
        sizes: dict[str, int] = {}
        for parcel in parcels:
            sizes[parcel.task] = sizes.get(parcel.task, 0) + parcel.size
        rows = [row for parcel in parcels for row in parcel.rows] if len(parcels) > 1 else parcels[0].rows
        if self._may_write():
            try:
                self._insert(rows)
            except sqlite3.Error as error:
                self._failed(rows, error)
        else:
            self.lost += len(rows)
        self._call_from_thread(self._release, sizes)

    def _insert(self, rows: Sequence[Row]) -> None:
        database = self._database or self._open()
        self._database = database
        database.execute("BEGIN")
        try:
            many = len(rows) - len(rows) % ROWS_A_STATEMENT
            for start in range(0, many, ROWS_A_STATEMENT):
                part = rows[start : start + ROWS_A_STATEMENT]
                database.execute(_INSERT_MANY, list(chain.from_iterable(part)))
            database.executemany(_INSERT, rows[many:])
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self.written += len(rows)
        self._failing = False
        self._unchecked += len(rows)
        if self._unchecked >= CHECK_ROWS:
            self._unchecked = 0
            self._bound(database)

    def _bound(self, database: sqlite3.Connection) -> None:
        """Begin a new file when this one is full; remove the oldest when all together are too large."""
        if db.size(database) < self._bounds.file:
            return
        self._database = None
        db.close_full(database)
        full = self.files.retire(int(self._wall()))
        self._database = db.open_current(self.files.current)
        threading.Thread(target=self._index, args=(full,), name="indexing messages", daemon=True).start()
        for path in self.files.surplus(self._bounds.total):
            path.unlink(missing_ok=True)
            self.files_dropped += 1
            self.log.info(
                "messages of {file} are gone: there are more than {most} bytes", file=path.name, most=self._bounds.total
            )

    def _index(self, path: Path) -> None:
        try:
            db.index_full(path)
        except sqlite3.Error as error:
            self.log.warn("messages of {file} are found slowly: {error}", file=path.name, error=str(error))

    def _failed(self, rows: Sequence[Row], error: sqlite3.Error) -> None:
        """Messages are best effort: what cannot be written is counted, a damaged file put aside."""
        self.lost += len(rows)
        if not self._failing:
            self.log.error("messages cannot be stored: {error}", error=str(error))
        self._failing = True
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            if self._database is not None:
                self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        try:
            return db.open_current(self.files.current)
        except sqlite3.OperationalError:
            raise  # no space, no permission: not the file's fault
        except sqlite3.DatabaseError as error:
            aside = self.files.put_aside(int(self._wall()))
            self.log.error(  # noqa: TRY400 (its sentence says all)
                "the messages' file was damaged ({error}) and is now {file}", error=str(error), file=aside.name
            )
            return db.open_current(self.files.current)

    def _do(self, errand: "_Errand") -> tuple[Callable[..., None], object]:
        try:
            database = self._database or self._open()
            self._database = database
            errand.statement(database)
        except sqlite3.Error as error:
            return errand.done.errback, error
        return errand.done.callback, None


class _Errand(Struct, frozen=True, eq=False):
    statement: Callable[[sqlite3.Connection], object]
    done: Deferred[None]
