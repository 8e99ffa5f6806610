"""The agent's start: what an earlier one left is ended, reported, or goes on (RELIABILITY 2.4, 2.5).

Processes of an earlier agent are ended before anything is said about their tasks, so that nothing ever runs twice.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.clock import Clock
from deployer.kit.failpoints import reach
from deployer.kit.inflight import Inflight
from deployer.protocol import codes
from deployer.protocol.commands import RunArgs
from deployer_agent.commands import outcome
from deployer_agent.commands.orphans import Orphans
from deployer_agent.commands.registry import Table, Task, prepare
from deployer_agent.commands.roster import Encoded, Roster, pack
from deployer_agent.commands.runs import Runs
from deployer_agent.commands.tasks import Tasks
from deployer_agent.commands.verify import Verifier
from deployer_agent.errors import RefusedError
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.patience import written
from deployer_agent.journal.records import Entry, Open
from deployer_agent.outbox.batch import Source

_CUT_SHORT: Final = (
    "messages may be missing here: the agent was killed before it had sent all; get_msgs has what it kept"
)
_LOST: Final = "the agent ended while it ran, and cannot tell what became of it"


class Parts(Struct, frozen=True):
    """What recovery works with."""

    journal: Journal
    roster: Roster
    tasks: Tasks
    runs: Runs
    orphans: Orphans
    say: Callable[[Source, str], None]
    post_run: Callable[[tuple[str, int], bytes], None]


class Recovery:
    """Done once, before the agent asks for more."""

    log = Logger()

    def __init__(self, parts: Parts, table: Table, clock: Clock) -> None:
        self._parts = parts
        self._table = table
        self._clock = clock
        self._inflight = Inflight()

    async def run(self) -> None:
        """Returns when all that is known here is known; ending what was left may take longer."""
        rows = await self._parts.journal.unsent()
        started = [row for row in rows if row.result is None and row.stage == "STARTED"]
        await self._parts.orphans.end([(row.key[0], row.history.begun) for row in started if _in_progress(row)])
        reach("recovering")
        for record in await self._parts.journal.runs():
            self._parts.post_run((record.task, record.number), record.record)
        results = [(row.key, row.result) for row in rows if row.result is not None]
        if not self._parts.journal.clean:
            for row in rows:
                self._doubt(row)
        left = [(row, self._known(row)) for row in started]  # they have their turns before others line up
        tasks, refusals = self._again([row for row in rows if row.result is None and row.stage == "ACCEPTED"])
        await self._finish(refusals)
        self._parts.tasks.accept(tasks, [*results, *refusals])
        reach("recovered")
        for row, task in left:
            self._inflight.spawn("going on after the restart", self._go_on(row, task))

    def _doubt(self, row: Open) -> None:
        """The log of what had ended may lack its last messages: they were in the memory of the agent that died."""
        if row.result is None or not row.payload:
            return
        try:
            task = prepare(self._table, _entry(row), row.history)
        except RefusedError:
            return
        if isinstance(task.args, RunArgs):
            self._parts.say(Source(task.id, task.args.domain, task.args.name), _CUT_SHORT)

    async def stop(self) -> None:
        """Go on with no more."""
        await self._inflight.cancel()

    async def _go_on(self, row: Open, task: Task | None) -> None:
        """Report what was lost, when nothing of it runs any more; start again what is remembered."""
        await self._parts.orphans.gone(row.key[0])
        if row.killed:
            await self._report(
                row, pack(outcome.ended_with_agent(row.key[0], max(1, row.history.begun), row.started), row.key)
            )
            return
        if task is None or not task.remembered:
            lost = pack(outcome.unknown(row.key[0], row.history.begun, *_lost(row)), row.key)
            await self._report(row, lost)
            return
        if _in_progress(row):
            history = msgspec.structs.replace(row.history, ended=row.history.begun)
            await self._parts.runs.record(row.key, outcome.unknown(row.key[0], row.history.begun, *_lost(row)), history)
        self._parts.roster.go_on(task)

    async def _report(self, row: Open, result: Encoded) -> None:
        self._parts.roster.drop(row.key)
        await self._finish([result])
        self._parts.tasks.accept([], [result])

    def _known(self, row: Open) -> Task | None:
        """The task of a row that was running: it can be killed at once, and has its turn for as long as it is here."""
        try:
            return self._parts.roster.hold(prepare(self._table, _entry(row), row.history))
        except RefusedError:
            return None

    def _again(self, rows: Sequence[Open]) -> tuple[list[Task], list[Encoded]]:
        """Make tasks of rows that were accepted and not started."""
        tasks: list[Task] = []
        refusals: list[Encoded] = []
        for row in rows:
            try:
                tasks.append(self._parts.roster.register(prepare(self._table, _entry(row))))
            except RefusedError as error:
                refusals.append(pack(outcome.refused(row.key, error.code, error.reason)))
        return tasks, refusals

    async def _finish(self, results: Sequence[Encoded]) -> None:
        if results:
            await written(lambda: self._parts.journal.finish(results), self._clock)


def _in_progress(row: Open) -> bool:
    return row.history.begun > row.history.ended


def _entry(row: Open) -> Entry:
    return Entry(Verifier.read(row.payload), row.payload, row.data)


def _lost(row: Open) -> tuple[str, str, int]:
    return codes.AGENT_RESTARTED, _LOST, row.started
