"""Tasks that may run: each waits for its turn, is written down as started, runs, and leaves its result.

Each step takes all that wait for it together.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from deployer.kit.clock import Clock, sleep
from deployer.kit.failpoints import reach
from deployer.kit.inflight import Inflight
from deployer.protocol import codes
from deployer.protocol.results import Result
from deployer_agent.commands import outcome
from deployer_agent.commands.registry import Task
from deployer_agent.commands.turns import Turns
from deployer_agent.errors import RefusedError
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.patience import written
from deployer_agent.journal.records import Key

STARTS_A_TURN: Final = 4
STARTED_TOGETHER: Final = 8

Encoded = tuple[Key, bytes]
_encode = msgspec.json.Encoder().encode


class Exits(Struct, frozen=True):
    """Where results go, and how a task's process is ended (beginning with a signal of its own where one is given).

    `settle` calls when all messages of a task are acknowledged.
    """

    settle: Callable[[str, Callable[[], None]], None]
    post: Callable[[Key, bytes], None]
    end_process: Callable[[str, int | None], bool]


class Roster:
    """All tasks that are here and not finished. At most `most_jobs` run at once; controls need no turn."""

    log = Logger()

    def __init__(self, journal: Journal, exits: Exits, clock: Clock, most_jobs: int) -> None:
        self._journal = journal
        self._exits = exits
        self._clock = clock
        self._turns = Turns(most_jobs)
        self._tasks: dict[str, Task] = {}
        self._lined: set[str] = set()
        self._starting = Inflight()
        self._running = Inflight()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def busy(self) -> int:
        """How many run that end by themselves."""
        return sum(task.at_work and not task.remembered for task in self._tasks.values())

    def tasks(self) -> list[Task]:
        """All of them."""
        return list(self._tasks.values())

    def register(self, task: Task) -> Task:
        """Know it from here on."""
        self._tasks[task.id] = task
        return task

    def end(self, id_: str, number: int | None = None) -> bool:
        """End a task for good, wherever it is; False when it is not here."""
        task = self._tasks.get(id_)
        if task is None:
            return False
        task.interrupt.set("KILLED")
        if task.at_work:
            self._exits.end_process(id_, number)
        elif id_ in self._lined:
            self._leave(id_)
            self._running.spawn("ending a task that waits", self._run(task))
        return True

    async def perform(self, tasks: Sequence[Task]) -> list[Encoded]:
        """Do what takes no time; one commit keeps all results."""
        results = [pack(result) for task in tasks if (result := await self._result(task)) is not None]
        await self._write(lambda: self._journal.finish(results))
        reach("performed")
        for task in tasks:
            if task.handler.then is not None:
                task.handler.then()
        return results

    def start(self, tasks: Sequence[Task]) -> None:
        """Take tasks that the master wants started; each begins when it is its turn."""
        for task in tasks:
            if task.interrupt.reason:
                self._running.spawn("ending a task before its start", self._run(task))
            else:
                self._line_up(task)
        self._admit()

    def hold(self, task: Task) -> Task:
        """Know a task that was running when the agent ended: it has its turn, until `drop` or its end."""
        self._turns.hold(task.id, task.queue)
        return self.register(task)

    def go_on(self, task: Task) -> None:
        """Start again what is held."""
        self._running.spawn("going on with a task", self._run(task))

    def rest(self, task: Task) -> None:
        """Give its place to others while it waits for its next period."""
        self._turns.leave(task.id)
        self._admit()

    async def resume(self, task: Task) -> None:
        """Wait until it has a place again, or is to end."""
        self._line_up(task)
        self._admit()
        if task.id in self._lined:
            await task.interrupt.wait()
        if task.id in self._lined:
            self._leave(task.id)

    def finished(self, key: Key, encoded: bytes) -> None:
        """Hand a result that is in the journal to the outbox, behind the task's messages."""
        self.drop(key)
        self._exits.settle(key[0], lambda: self._exits.post(key, encoded))

    def drop(self, key: Key) -> None:
        """Know it no longer; the next may have its turn."""
        if self._tasks.pop(key[0], None) is not None:
            self._leave(key[0])

    async def close(self) -> None:
        """Start nothing more; what waits stays in the journal."""
        await self._starting.cancel()
        for task in self._tasks.values():
            if task.at_work:
                task.interrupt.set("AGENT_STOPPED")

    async def settled(self) -> None:
        """Wait until the results of all that ran are in the journal."""
        await self._running.settled()

    def _line_up(self, task: Task) -> None:
        self._lined.add(task.id)
        self._turns.join(task.id, task.queue, task.priority)

    def _leave(self, id_: str) -> None:
        self._lined.discard(id_)
        self._turns.leave(id_)
        self._admit()

    def _admit(self) -> None:
        """Begin with those whose turn it is, and wake those that had one before."""
        taken = [self._tasks[id_] for id_ in self._turns.take()]
        self._lined.difference_update(task.id for task in taken)
        for task in taken:
            if task.at_work:
                task.interrupt.wake()
        fresh = [task for task in taken if not task.at_work]
        if fresh:
            self._starting.spawn("starting tasks", self._start(fresh))

    async def _start(self, tasks: Sequence[Task]) -> None:
        """A few at a time: those noted as started and not yet ended are in doubt if the agent dies."""
        for begin in range(0, len(tasks), STARTED_TOGETHER):
            await self._start_some(tasks[begin : begin + STARTED_TOGETHER])

    async def _start_some(self, tasks: Sequence[Task]) -> None:
        keys = [task.entry.key for task in tasks]
        try:
            await self._write(lambda: self._journal.start(keys))
        except CancelledError:  # the agent stops, and the journal may have it all the same
            self._give_up(tasks)
            raise
        reach("started")
        for number, task in enumerate(tasks, 1):
            self._running.spawn("running a task", self._run(task))
            if number % STARTS_A_TURN == 0:
                try:
                    await sleep(self._clock, 0)  # what has ended meanwhile is reported while others start
                except CancelledError:
                    self._give_up(tasks[number:])
                    raise

    def _give_up(self, tasks: Sequence[Task]) -> None:
        """What the agent's end keeps from starting gets its result; what is remembered starts with the next agent."""
        for task in tasks:
            task.interrupt.set("AGENT_STOPPED")
            if not task.remembered:
                self._running.spawn("ending a task before its start", self._run(task))

    async def _run(self, task: Task) -> None:
        """Run one task to its end."""
        result = await self._result(task)
        if result is None:
            return
        reach("ran")
        packed = pack(result, task.entry.key)
        await self._write(lambda: self._journal.finish([packed]))
        reach("result_journaled")
        self.finished(*packed)

    async def _result(self, task: Task) -> Result | None:
        key = task.entry.key
        if task.interrupt.reason:
            return outcome.ended_before_start(key, task.interrupt.reason)
        task.at_work = True
        try:
            return await task.handler.work(task)
        except RefusedError as error:
            return outcome.refused(key, error.code, error.reason)
        except Exception:  # noqa: BLE001 (whatever it was, the task gets a result)
            self.log.failure("task {task} failed in the agent", task=key[0])
            return outcome.unknown(*key, codes.SPAWN_FAILED, "the agent itself failed: its log says how", 0)

    async def _write(self, write: Callable[[], Deferred[None]]) -> None:
        await written(write, self._clock)


def pack(result: Result, key: Key | None = None) -> Encoded:
    """A result as the journal keeps it, by the key of its command."""
    return key or (result.id, result.run), _encode(result)
