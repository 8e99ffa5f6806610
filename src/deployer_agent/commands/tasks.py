"""The tasks of this agent from the poll to the outbox, in the order that makes delivery safe (RELIABILITY 2.4).

Verified, written down as ACCEPTED, accepted by the master, written down as STARTED, run, the result written down, its
messages acknowledged, the result handed to the outbox. Each step takes all that wait for it together.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from deployer.kit.clock import Clock, WallClock, epoch_ms, sleep
from deployer.kit.inflight import Inflight
from deployer.protocol import codes
from deployer.protocol.commands import Envelope
from deployer.protocol.results import Result
from deployer.protocol.wire import Verdict
from deployer_agent.commands import outcome
from deployer_agent.commands.registry import Table, Task, prepare
from deployer_agent.commands.verify import Verifier, require_in_time
from deployer_agent.errors import ForgedError, RefusedError
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.patience import written
from deployer_agent.journal.records import Entry, Key, Known, Open

STARTS_A_TURN: Final = 4
TAKEN_TOGETHER: Final = 25
"""Small enough that the steps of one part run beside those of another, large enough that posts are few."""

Encoded = tuple[Key, bytes]
_encode = msgspec.json.Encoder().encode


class Ways(Struct, frozen=True):
    """Where tasks come from and go to, as assembly connects it."""

    verifier: Verifier
    journal: Journal
    ask: Callable[[Sequence[str]], Coroutine[Deferred[Any], Any, list[Verdict]]]
    settle: Callable[[str, Callable[[], None]], None]
    post: Callable[[Key, bytes], None]
    end_process: Callable[[str], bool]


class Tasks:
    """All tasks that are taken and not finished; `most` bounds how many more the polls may ask for."""

    log = Logger()

    def __init__(self, ways: Ways, clock: Clock, wall: WallClock, most: int) -> None:
        self._ways = ways
        self._clock = clock
        self._wall = wall
        self._most = most
        self._table: Table = {}
        self._tasks: dict[str, Task] = {}
        self._arriving = 0
        self._inflight = Inflight()
        self._running = Inflight()
        self.forged = 0

    def know(self, table: Table) -> None:
        """Take the table of commands (some of which act on the tasks themselves)."""
        self._table = table

    @property
    def room(self) -> int:
        """How many more may come."""
        return max(0, self._most - self._arriving - len(self._tasks))

    def take(self, envelopes: Sequence[Envelope]) -> None:
        """Take what a poll brought; returns at once."""
        self._arriving += len(envelopes)
        for start in range(0, len(envelopes), TAKEN_TOGETHER):
            self._inflight.spawn("taking commands", self._take(envelopes[start : start + TAKEN_TOGETHER]))

    async def recover(self) -> None:
        """Go on where the agent was when it ended: returns when all that is known here is known."""
        rows = await self._ways.journal.unsent()
        results = [(row.key, row.result) for row in rows if row.result is not None]
        lost = [_lost(row) for row in rows if row.result is None and row.stage == "STARTED"]
        if lost:
            await self._write(lambda: self._ways.journal.finish(lost))
        tasks, refusals = self._again([row for row in rows if row.result is None and row.stage == "ACCEPTED"])
        if refusals:
            await self._write(lambda: self._ways.journal.finish(refusals))
        self._inflight.spawn("accepting again", self._accept(tasks, [*results, *lost, *refusals]))

    def end(self, id_: str) -> bool:
        """End a task on demand, running or not yet; False when it is not here."""
        task = self._tasks.get(id_)
        if task is not None:
            task.killed = True
            self._ways.end_process(id_)
        return task is not None

    async def settled(self) -> None:
        """Wait until the results of all that ran are in the journal."""
        await self._running.settled()

    async def stop(self) -> None:
        """Start nothing more: what still waits for the master's word is in the journal."""
        await self._inflight.cancel()

    async def _take(self, envelopes: Sequence[Envelope]) -> None:
        try:
            entries = [entry for envelope in envelopes if (entry := self._verified(envelope)) is not None]
            known = await self._ways.journal.accept(entries, self._too_old) if entries else []
        finally:
            self._arriving -= len(envelopes)
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
            prepare(self._table, entry)
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
            tasks.append(self._register(prepare(self._table, entry)))

    def _again(self, rows: Sequence[Open]) -> tuple[list[Task], list[Encoded]]:
        """Make tasks of rows that were accepted and not started."""
        tasks: list[Task] = []
        refusals: list[Encoded] = []
        for row in rows:
            entry = Entry(Verifier.read(row.payload), row.payload, row.data)
            try:
                tasks.append(self._register(prepare(self._table, entry)))
            except RefusedError as error:
                refusals.append(_pack(outcome.refused(row.key, error.code, error.reason)))
        return tasks, refusals

    def _register(self, task: Task) -> Task:
        self._tasks[task.entry.key[0]] = task
        return task

    async def _accept(self, tasks: Sequence[Task], results: Sequence[Encoded], again: Sequence[str] = ()) -> None:
        """Do the controls, ask the master about all, start what it says."""
        controls = [task for task in tasks if task.handler.control]
        others = [task for task in tasks if not task.handler.control]
        done = await self._perform(controls) if controls else []
        ids = [task.entry.key[0] for task in others] + [key[0] for key, _ in (*done, *results)] + list(again)
        if not ids:
            return
        verdicts = await self._ways.ask(ids)
        for key, encoded in (*done, *results):
            self._finished(key, encoded)
        await self._start(others, verdicts[: len(others)])

    async def _start(self, tasks: Sequence[Task], verdicts: Sequence[Verdict]) -> None:
        starts = [task for task, verdict in zip(tasks, verdicts, strict=True) if verdict == "START"]
        ends = [task for task, verdict in zip(tasks, verdicts, strict=True) if verdict != "START"]
        if ends:
            await self._close(ends)
        harmless = [task for task in starts if task.handler.harmless]
        if harmless:
            for key, encoded in await self._perform(harmless):
                self._finished(key, encoded)
        lasting = [task for task in starts if not task.handler.harmless]
        if lasting:
            keys = [task.entry.key for task in lasting]
            await self._write(lambda: self._ways.journal.start(keys))
            await self._launch(lasting)

    async def _launch(self, tasks: Sequence[Task]) -> None:
        """Run tasks, a few in each turn of the reactor: what has ended meanwhile is reported while others start."""
        for number, task in enumerate(tasks, 1):
            self._running.spawn("running a task", self._run(task))
            if number % STARTS_A_TURN == 0:
                try:
                    await sleep(self._clock, 0)
                except CancelledError:  # the agent stops: what has not started gets its result all the same
                    for rest in tasks[number:]:
                        rest.killed = True
                        self._running.spawn("running a task", self._run(rest))
                    raise

    async def _close(self, tasks: Sequence[Task]) -> None:
        """End rows of tasks that the master does not want started."""
        keys = [task.entry.key for task in tasks]
        await self._write(lambda: self._ways.journal.end(keys))
        for key in keys:
            self._drop(key)

    async def _perform(self, tasks: Sequence[Task]) -> list[Encoded]:
        """Do what takes no time; one commit keeps all results."""
        results = [_pack(await self._result(task)) for task in tasks]
        await self._write(lambda: self._ways.journal.finish(results))
        return results

    async def _run(self, task: Task) -> None:
        """Run one task to its end."""
        packed = _pack(await self._result(task))
        await self._write(lambda: self._ways.journal.finish([packed]))
        self._finished(*packed)

    async def _result(self, task: Task) -> Result:
        key = task.entry.key
        if task.killed:
            return outcome.killed_before_start(key)
        try:
            return await task.handler.work(task.entry, task.args)
        except RefusedError as error:
            return outcome.refused(key, error.code, error.reason)
        except Exception:  # noqa: BLE001 (whatever it was, the task gets a result)
            self.log.failure("task {task} failed in the agent", task=key[0])
            return outcome.unknown(key, codes.SPAWN_FAILED, "the agent itself failed: its log says how", 0)

    def _finished(self, key: Key, encoded: bytes) -> None:
        """Hand a result that is in the journal to the outbox, behind the task's messages."""
        self._drop(key)
        self._ways.settle(key[0], lambda: self._ways.post(key, encoded))

    def _drop(self, key: Key) -> None:
        self._tasks.pop(key[0], None)

    def _too_old(self, entry: Entry) -> bytes:
        """The result for what the journal may have forgotten."""
        return _encode(
            outcome.refused(entry.key, codes.TOO_OLD, "it is older than what this agent's journal remembers")
        )

    async def _write(self, write: Callable[[], Deferred[None]]) -> None:
        await written(write, self._clock)


def _pack(result: Result) -> Encoded:
    return (result.id, result.run), _encode(result)


def _lost(row: Open) -> Encoded:
    reason = "the agent ended while it ran, and cannot tell what became of it"
    return _pack(outcome.unknown(row.key, codes.AGENT_RESTARTED, reason, row.started))
