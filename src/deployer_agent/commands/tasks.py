"""Commands from the poll to the roster, in the order that makes delivery safe (RELIABILITY 2.4).

Verified, written down as ACCEPTED, accepted by the master; then, in roster.py, written down as STARTED, run, the result
written down, its messages acknowledged, the result handed to the outbox. Each step takes all that wait for it together.
"""

import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.kit.failpoints import reach
from deployer.kit.inflight import Inflight
from deployer.protocol import codes
from deployer.protocol.commands import Envelope
from deployer.protocol.wire import Verdict
from deployer_agent.commands import outcome
from deployer_agent.commands.registry import Table, Task, prepare
from deployer_agent.commands.roster import Encoded, Roster
from deployer_agent.commands.verify import Verifier, require_in_time
from deployer_agent.errors import ForgedError, RefusedError
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.patience import written
from deployer_agent.journal.records import Entry, Known

TAKEN_TOGETHER: Final = 25
"""Small enough that the steps of one part run beside those of another, large enough that posts are few."""

_encode = msgspec.json.Encoder().encode


class Host(Struct, frozen=True):
    """What this host says to a command; both raise RefusedError."""

    require_command: Callable[[str], None] = lambda _: None
    require_room: Callable[[], None] = lambda: None


class Ways(Struct, frozen=True):
    """Where tasks come from and go to, as assembly connects it."""

    verifier: Verifier
    journal: Journal
    ask: Callable[[Sequence[str]], Coroutine[Deferred[Any], Any, list[Verdict]]]
    host: Host = Host()


class Tasks:
    """Takes commands; `most` bounds how many tasks may be here before the polls ask for no more."""

    log = Logger()

    def __init__(self, ways: Ways, roster: Roster, clock: Clock, wall: WallClock, most: int) -> None:
        self._ways = ways
        self._roster = roster
        self._clock = clock
        self._wall = wall
        self._most = most
        self._host = ways.host
        self._table: Table = {}
        self._arriving = 0
        self._inflight = Inflight()
        self.forged = 0

    def know(self, table: Table) -> None:
        """Take the table of commands (some of which act on the tasks themselves)."""
        self._table = table

    @property
    def room(self) -> int:
        """How many more may come."""
        return max(0, self._most - self._arriving - len(self._roster))

    def take(self, envelopes: Sequence[Envelope]) -> None:
        """Take what a poll brought; returns at once."""
        self._arriving += len(envelopes)
        for start in range(0, len(envelopes), TAKEN_TOGETHER):
            self._inflight.spawn("taking commands", self._take(envelopes[start : start + TAKEN_TOGETHER]))

    def accept(self, tasks: Sequence[Task], results: Sequence[Encoded]) -> None:
        """Ask the master about what an earlier agent had taken; returns at once."""
        self._inflight.spawn("accepting again", self._accept(tasks, results))

    async def stop(self) -> None:
        """Take nothing more: what still waits for the master's word is in the journal."""
        await self._inflight.cancel()

    async def _take(self, envelopes: Sequence[Envelope]) -> None:
        reach("polled")
        try:
            entries = [entry for envelope in envelopes if (entry := self._verified(envelope)) is not None]
            known = await self._ways.journal.accept(entries, self._too_old) if entries else []
        except sqlite3.Error as error:  # not accepted: they come again when their lease is over
            self.log.error("commands could not be written down: {error}", error=str(error))  # noqa: TRY400
            return
        finally:
            self._arriving -= len(envelopes)
        reach("journaled")
        tasks: list[Task] = []
        results: list[Encoded] = []
        again: list[str] = []
        for entry, what in zip(entries, known, strict=True):
            self._sort(entry, what, tasks, results, again)
        await self._accept(tasks, results, again)

    def _verified(self, envelope: Envelope) -> Entry | None:
        """Check one envelope; a forged one is logged and leaves no other trace."""
        try:
            command = self._ways.verifier.command(envelope)
        except ForgedError as error:
            self.forged += 1
            self.log.warn("audit: refused a command, {code}: {reason}", code=error.code, reason=error.reason)
            return None
        return self._judged(Entry(command, envelope.payload, envelope.data))

    def _judged(self, entry: Entry) -> Entry:
        """Give an entry that is not going to run its result."""
        try:
            require_in_time(entry.command, epoch_ms(self._wall))
            self._host.require_command(entry.command.cmd)
            handler = prepare(self._table, entry).handler
            if not handler.control and not handler.harmless:
                self._host.require_room()
        except RefusedError as error:
            self.log.warn(
                "audit: refused task {task}, {code}: {reason}", task=entry.key[0], code=error.code, reason=error.reason
            )
            return msgspec.structs.replace(entry, refusal=_encode(outcome.refused(entry.key, error.code, error.reason)))
        return entry

    def _sort(self, entry: Entry, what: Known, tasks: list[Task], results: list[Encoded], again: list[str]) -> None:
        """Decide what follows from what the journal knew of an entry."""
        if what.kind == "other":
            self.forged += 1
            self.log.warn(
                "audit: refused a command, {code}: {task} was taken already with other content",
                code=codes.REPLAY,
                task=entry.key[0],
            )
        elif what.result is not None:
            results.append((entry.key, what.result))
        elif what.kind == "same":
            again.append(entry.key[0])
        else:
            tasks.append(self._roster.register(prepare(self._table, entry)))

    async def _accept(self, tasks: Sequence[Task], results: Sequence[Encoded], again: Sequence[str] = ()) -> None:
        """Do the controls, ask the master about all, start what it says."""
        controls = [task for task in tasks if task.handler.control]
        others = [task for task in tasks if not task.handler.control]
        done = await self._roster.perform(controls) if controls else []
        ids = [task.id for task in others] + [key[0] for key, _ in (*done, *results)] + list(again)
        if not ids:
            return
        verdicts = await self._ways.ask(ids)
        reach("accept_answered")
        for key, encoded in (*done, *results):
            self._roster.finished(key, encoded)
        await self._start(others, verdicts[: len(others)])

    async def _start(self, tasks: Sequence[Task], verdicts: Sequence[Verdict]) -> None:
        starts = [task for task, verdict in zip(tasks, verdicts, strict=True) if verdict == "START"]
        ends = [task for task, verdict in zip(tasks, verdicts, strict=True) if verdict != "START"]
        if ends:
            await self._close(ends)
        harmless = [task for task in starts if task.handler.harmless]
        if harmless:
            for key, encoded in await self._roster.perform(harmless):
                self._roster.finished(key, encoded)
        self._roster.start([task for task in starts if not task.handler.harmless])

    async def _close(self, tasks: Sequence[Task]) -> None:
        """End rows of tasks that the master does not want started."""
        keys = [task.entry.key for task in tasks]
        await written(lambda: self._ways.journal.end(keys), self._clock)
        for key in keys:
            self._roster.drop(key)

    def _too_old(self, entry: Entry) -> bytes:
        """The result for what the journal may have forgotten."""
        return _encode(
            outcome.refused(entry.key, codes.TOO_OLD, "it is older than what this agent's journal remembers")
        )
