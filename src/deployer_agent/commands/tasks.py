"""A task from its arrival to its acknowledged result, in the order that makes it run at most once (RELIABILITY 2.4).

1. The command is verified and journaled. 2. It is accepted at the master, many in one post. 3. What the master lets
start is journaled as started. 4. It runs. 5. Its result is journaled. 6. Its messages, then its result are posted.
7. The journal notes that the master has it. A kill is carried out right after step 1.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.clock import Clock, WallClock, epoch_ms, sleep
from deployer.kit.inflight import Inflight
from deployer.protocol import codes
from deployer.protocol.commands import Envelope, SignedCommand
from deployer.protocol.results import Result
from deployer.protocol.wire import Receipt
from deployer.protocol.wire import Verdict as MasterVerdict
from deployer_agent.commands import registry
from deployer_agent.commands.registry import TABLE, Handlers, Request
from deployer_agent.commands.verification import Obedience, journal_row, reopen, verify
from deployer_agent.errors import RefusedError
from deployer_agent.journal import rows
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.rows import NewRow, OpenRow, State, Verdict

STARTS_A_TURN: Final = 4
TAKEN_TOGETHER: Final = 25
"""Small enough that the steps of one part run beside those of another, large enough that posts are few."""


class Upward(Struct, frozen=True):
    """The ways to the master, given by assembly. Each waits as long as it takes."""

    accept: Callable[[Sequence[str]], list[Deferred[MasterVerdict]]]
    result: Callable[[Result], Awaitable[Receipt]]
    drained: Callable[[str], Awaitable[None]]


class Tasks:
    """What this agent has taken and not finished."""

    log = Logger()

    def __init__(
        self,
        journal: Journal,
        upward: Upward,
        obedience: Obedience,
        handlers: Handlers,
        *,
        clock: Clock,
        wall: WallClock,
        most: int,
    ) -> None:
        self._journal = journal
        self._upward = upward
        self._obedience = obedience
        self._handlers = handlers
        self._clock = clock
        self._wall = wall
        self._most = most
        self._open: dict[str, SignedCommand] = {}
        self._killed: set[str] = set()
        self._inflight = Inflight()
        self.refused = 0

    @property
    def room(self) -> int:
        """How many more may come."""
        return max(0, self._most - len(self._open))

    def take(self, envelopes: Sequence[Envelope]) -> None:
        """Commands have come; carries on by itself."""
        for start in range(0, len(envelopes), TAKEN_TOGETHER):
            self._inflight.spawn("taking commands", self._take(envelopes[start : start + TAKEN_TOGETHER]))

    def finished(self, result: Result) -> None:
        """A task has ended; carries on by itself until the master has the result."""
        self._inflight.spawn("reporting a result", self._finish(result))

    async def recover(self) -> None:
        """Go on with what an earlier run of the agent left (RELIABILITY 2.5)."""
        left = await self._journal.run(rows.open_rows)
        accepted: list[tuple[SignedCommand, Envelope]] = []
        for row in left:
            if row.state is State.ACCEPTED:
                accepted.append(reopen(row.envelope))
            elif row.state is State.STARTED:
                self.finished(_interrupted(row))
            elif row.result is not None:
                self._inflight.spawn("reporting a result", self._report(_result(row.result)))
        self._open |= {command.id: command for command, _ in accepted}
        if accepted:
            self._inflight.spawn("going on with commands", self._accept(accepted))

    @property
    def busy(self) -> bool:
        """Whether something is under way: a command to be taken, a result to be posted."""
        return len(self._inflight) > 0

    async def cancel(self) -> None:
        """Leave off: what is in the journal is gone on with at the next start."""
        await self._inflight.cancel()

    async def _take(self, envelopes: Sequence[Envelope]) -> None:
        genuine = [pair for envelope in envelopes if (pair := self._verified(envelope)) is not None]
        new_rows = [journal_row(command, envelope) for command, envelope in genuine]
        verdicts = await self._remember(new_rows)
        fresh: list[tuple[SignedCommand, Envelope]] = []
        again: list[str] = []
        for (command, envelope), verdict in zip(genuine, verdicts, strict=True):
            if verdict is Verdict.REPLAY:
                self._refuse(command.id, RefusedError(codes.REPLAY, "another command with this id was taken before"))
            elif verdict is Verdict.KNOWN:
                again.append(command.id)
            else:
                self._open[command.id] = command
                if verdict is Verdict.TOO_OLD:
                    self._killed.discard(command.id)
                    self.log.warn("command {task} is older than what the journal remembers", task=command.id)
                    self._inflight.spawn("refusing", self._accept_only(command, _too_old(command)))
                else:
                    fresh.append((command, envelope))
        if again:  # it was sent again: the answer to its acceptance was lost, or comes still
            self._upward.accept(again)
        if fresh:
            await self._accept(fresh)

    def _verified(self, envelope: Envelope) -> tuple[SignedCommand, Envelope] | None:
        try:
            return verify(envelope, self._obedience, epoch_ms(self._wall)), envelope
        except RefusedError as error:
            self._refuse("?", error)
            return None

    def _refuse(self, task: str, error: RefusedError) -> None:
        self.refused += 1
        self.log.warn(
            "audit: refused command {task}: {code}, {reason}", task=task, code=error.code, reason=error.reason
        )

    async def _remember(self, new_rows: list[NewRow]) -> list[Verdict]:
        return await self._journal.run(lambda connection: rows.accept(connection, new_rows))

    async def _accept(self, commands: list[tuple[SignedCommand, Envelope]]) -> None:
        for command, _ in commands:
            if command.cmd == "kill":
                self._kill_now(command)
        waiting = self._upward.accept([command.id for command, _ in commands])
        verdicts = [await one for one in waiting]
        starts: list[tuple[SignedCommand, Envelope]] = []
        closes: list[tuple[SignedCommand, Envelope]] = []
        for (command, envelope), verdict in zip(commands, verdicts, strict=True):
            (starts if verdict == "START" else closes).append((command, envelope))
        if closes:
            await self._close([command for command, _ in closes])
        await self._start(starts)

    async def _accept_only(self, command: SignedCommand, result: Result) -> None:
        await self._upward.accept([command.id])[0]
        await self._finish(result)

    async def _start(self, commands: list[tuple[SignedCommand, Envelope]]) -> None:
        keys = [
            (command.id, command.run)
            for command, _ in commands
            if (entry := TABLE.get(command.cmd)) is not None and entry.answer is None
        ]
        if keys:
            await self._journal.run(lambda connection: rows.start(connection, keys))
        for number, (command, envelope) in enumerate(commands, 1):
            self._carry_out(command, envelope)
            if number % STARTS_A_TURN == 0:  # what has ended meanwhile is reported while others start
                await sleep(self._clock, 0)

    def _carry_out(self, command: SignedCommand, envelope: Envelope) -> None:
        if command.id in self._killed:
            self.finished(_killed(command))
            return
        try:
            request = registry.request(command, envelope.data)
            self._handle(request)
        except RefusedError as error:
            self.finished(_refused(command, error))
        except Exception as error:  # noqa: BLE001 (one task that we fail to start must not take others with it)
            self.log.failure("task {task} could not be started", task=command.id)
            self.finished(_refused(command, RefusedError(codes.SPAWN_FAILED, f"the agent failed: {error}")))

    def _handle(self, request: Request) -> None:
        name = request.command.cmd
        answer = TABLE[name].answer
        if answer is not None:
            self.finished(answer(request))
        elif name == "kill":
            self._inflight.spawn("answering a kill", self._answer_kill(request))
        else:
            self._handlers.execute(request)

    def _kill_now(self, command: SignedCommand) -> None:
        """A kill does not wait for its acceptance; its result does."""
        try:
            task = registry.request(command, "").args.task
        except RefusedError:
            return  # its result will say so
        if not self._handlers.kill(task) and task in self._open:
            self._killed.add(task)

    async def _answer_kill(self, request: Request) -> None:
        task, command = request.args.task, request.command
        if await self._journal.run(lambda connection: rows.lookup(connection, task)) is None:
            await self._finish(_refused(command, RefusedError(codes.NO_SUCH_TASK, "this agent does not know the task")))
        else:
            await self._finish(Result(id=command.id, run=command.run, state="OK"))

    async def _close(self, commands: list[SignedCommand]) -> None:
        keys = [(command.id, command.run) for command in commands]
        await self._journal.run(lambda connection: rows.close(connection, keys))
        for command in commands:
            self._forget(command.id)

    async def _finish(self, result: Result) -> None:
        raw = _encode(result)
        await self._journal.run(lambda connection: rows.finish(connection, [(raw, result.id, result.run)]))
        self._forget(result.id)
        await self._upward.drained(result.id)
        await self._report(result)

    async def _report(self, result: Result) -> None:
        receipt = await self._upward.result(result)
        if receipt not in {"OK", "DUP"}:
            self.log.warn("audit: the master has another end for {task}: {receipt}", task=result.id, receipt=receipt)
        await self._journal.run(lambda connection: rows.mark_sent(connection, [(result.id, result.run)]))

    def _forget(self, task: str) -> None:
        self._open.pop(task, None)
        self._killed.discard(task)


_encode = msgspec.json.Encoder().encode
_result = msgspec.json.Decoder(Result).decode


def _interrupted(row: OpenRow) -> Result:
    return Result(
        id=row.id,
        run=row.run,
        state="ERROR",
        code=codes.AGENT_RESTARTED,
        reason="the agent died while this ran: what became of it is unknown",
        outcome="unknown",
    )


def _refused(command: SignedCommand, error: RefusedError) -> Result:
    return Result(id=command.id, run=command.run, state="ERROR", code=error.code, reason=error.reason[:2000])


def _killed(command: SignedCommand) -> Result:
    return Result(
        id=command.id, run=command.run, state="KILLED", code=codes.KILLED, reason="ended on demand before it started"
    )


def _too_old(command: SignedCommand) -> Result:
    return _refused(command, RefusedError(codes.TOO_OLD, "older than what this agent's journal remembers"))
