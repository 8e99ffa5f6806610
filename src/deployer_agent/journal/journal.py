"""What the agent must still know after any crash, so that nothing is lost and nothing runs twice (RELIABILITY 2.4).

The order, each step committed before the next: ACCEPTED, the master's answer, STARTED, the launch, the result, its
posting, `sent`. All methods that write return a Deferred that fires once it is on the disk.
"""

import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.sqlitewriter import CallFromThread, Writer
from deployer_agent.journal import runs, statements
from deployer_agent.journal.database import create_database, open_database
from deployer_agent.journal.records import Entry, History, Key, Known, Open, RunRecord, TooOld


class Journal:
    """The open journal. `clean`: the agent before this one ended in order, with all its messages on the disk."""

    log = Logger()

    def __init__(
        self,
        database: sqlite3.Connection,
        wall: WallClock,
        call_from_thread: CallFromThread,
        on_full: Callable[[], None] = lambda: None,
        place: str = "",
    ) -> None:
        self._settle(database, place)
        self.instance = statements.get(database, "instance")
        self.messages = int(statements.get(database, "messages"))
        self.clean = statements.get(database, "clean", "1") == "1"
        statements.put(database, "clean", "0")
        self._wall = wall
        self._writer = Writer(database, call_from_thread, on_full)
        self._writer.start()

    @classmethod
    def open(
        cls,
        path: Path,
        wall: WallClock,
        call_from_thread: CallFromThread,
        *,
        create: bool,
        on_full: Callable[[], None] = lambda: None,
        place: str = "",
    ) -> "Journal":
        """Open it, or make it where `create` says that there was never one; JournalError when it cannot be used.

        `on_full` is called when it cannot be written because the disk is full. `place` says where it lies: a journal
        that comes from elsewhere is a copy, and another instance than the one that may still run there.
        """
        if create and not path.exists():
            create_database(path, secrets.token_hex(16))
        return cls(open_database(path), wall, call_from_thread, on_full, place)

    def _settle(self, database: sqlite3.Connection, place: str) -> None:
        known = statements.get(database, "place")
        if place in {"", known}:
            return
        if known:
            self.log.warn(
                "this data directory comes from another host or place: the agent is another instance from now on"
            )
            statements.put(database, "instance", secrets.token_hex(16))
        statements.put(database, "place", place)

    def close(self) -> None:
        """Write what was asked for and close the file."""
        self._writer.stop()

    @property
    def commits(self) -> int:
        """How many transactions there were."""
        return self._writer.commits

    def accept(self, entries: Sequence[Entry], too_old: TooOld) -> Deferred[list[Known]]:
        """Write down commands before they are accepted; tells what was known of each."""
        now = self._now()
        return self._writer.run(lambda database: statements.accept(database, entries, now, too_old))

    def start(self, keys: Sequence[Key]) -> Deferred[None]:
        """Note that these are about to start."""
        now = self._now()
        return self._writer.run(lambda database: statements.start(database, keys, now))

    def finish(self, results: Sequence[tuple[Key, bytes]]) -> Deferred[None]:
        """Keep results until the master has them."""
        now = self._now()
        return self._writer.run(lambda database: statements.finish(database, results, now))

    def end(self, keys: Sequence[Key]) -> Deferred[None]:
        """Close rows that never ran and will not."""
        now = self._now()
        return self._writer.run(lambda database: statements.end(database, keys, now))

    def sent(self, keys: Sequence[Key]) -> Deferred[None]:
        """Note that the master has these results for ever."""
        return self._writer.run(lambda database: statements.sent(database, keys))

    def unsent(self) -> Deferred[list[Open]]:
        """Everything that the master still has to hear of."""
        return self._writer.run(statements.unsent)

    def next_run(self, key: Key, number: int, due: int) -> Deferred[None]:
        """Note that one more run is about to start."""
        now = self._now()
        return self._writer.run(lambda database: runs.begin(database, key, number, due, now))

    def end_run(self, key: Key, record: RunRecord, history: History) -> Deferred[None]:
        """Note that a run has ended, of a task that goes on; keep its record until the master has it."""
        now = self._now()
        return self._writer.run(lambda database: runs.end(database, key, record, history, now))

    def kill(self, task: str) -> Deferred[None]:
        """Note that a task is to end for good, whatever becomes of this agent."""
        return self._writer.run(lambda database: runs.kill(database, task))

    def runs(self) -> Deferred[list[RunRecord]]:
        """Records that the master has not got."""
        return self._writer.run(runs.unsent)

    def runs_sent(self, keys: Sequence[Key]) -> Deferred[None]:
        """Note that the master has the records of these tasks and numbers."""
        return self._writer.run(lambda database: runs.sent(database, keys))

    def note_processes(self, footprints: Mapping[str, bytes], gone: Sequence[str]) -> Deferred[None]:
        """Keep by what processes are found, by their markers; forget those that have gone."""
        return self._writer.run(lambda database: runs.note_processes(database, footprints, gone))

    def processes(self) -> Deferred[list[bytes]]:
        """By what the processes are found that an earlier agent did not see end."""
        return self._writer.run(runs.processes)

    def knows(self, task: str) -> Deferred[bool]:
        """Tell whether a task was ever taken here."""
        return self._writer.run(lambda database: statements.knows(database, task))

    def forget(self) -> Deferred[int]:
        """Remove what need not be known any more; returns how many rows."""
        now = self._now()
        return self._writer.run(lambda database: statements.forget(database, now))

    def reserve_messages(self, through: int) -> Deferred[None]:
        """Note that message ids below this number may have been used."""
        return self._writer.run(lambda database: statements.put(database, "messages", str(through)))

    def end_clean(self) -> Deferred[None]:
        """Note that this agent ends in order."""
        return self._writer.run(lambda database: statements.put(database, "clean", "1"))

    def _now(self) -> int:
        return epoch_ms(self._wall)
