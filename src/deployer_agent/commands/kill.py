"""`kill`, `killall` and `restart`: what ends tasks, and the agent itself."""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from deployer.protocol import codes
from deployer.protocol.commands import KillArgs
from deployer.protocol.levels import RESULT_JSON
from deployer.protocol.results import Result
from deployer.protocol.signals import ENDING, plain
from deployer_agent.commands.outcome import refused
from deployer_agent.commands.registry import Task
from deployer_agent.errors import RefusedError
from deployer_agent.processes.signals import number_of


class Kill:
    """Ends a task that is here, for good, or sends its process a signal.

    `end` and `signal` tell whether it is here; `knows` asks the journal about one that is not any more. `note` writes
    down that it is to end, so that it does even if this agent dies meanwhile.
    """

    def __init__(
        self,
        end: Callable[[str, int | None], bool],
        signal: Callable[[str, int], bool],
        knows: Callable[[str], Deferred[bool]],
        note: Callable[[str], Coroutine[Deferred[Any], Any, None]],
    ) -> None:
        self._note = note
        self._end = end
        self._signal = signal
        self._knows = knows

    async def __call__(self, task: Task) -> Result:
        """OK when the task is being ended or has ended; its own result says how."""
        args: KillArgs = task.args
        if args.signal is None or plain(args.signal) in ENDING:
            await self._note(args.id)
        if self._do(args) or await self._knows(args.id):
            return Result(id=task.id, run=task.entry.command.run, state="OK", data="true", level=RESULT_JSON)
        return refused(task.entry.key, codes.NO_SUCH_TASK, f"this agent has no task {args.id}")

    def _do(self, args: KillArgs) -> bool:
        name = None if args.signal is None else plain(args.signal)
        if name is None:
            return self._end(args.id, None)
        try:
            number = number_of(name)
        except ValueError as error:
            raise RefusedError(codes.BAD_ARGUMENTS, str(error)) from None
        return self._end(args.id, number) if name in ENDING else self._signal(args.id, number)


class Killall:
    """Ends all that runs now; what is remembered runs again, at its period or after a second (seed 001)."""

    def __init__(self, end_runs: Callable[[], int]) -> None:
        self._end_runs = end_runs

    async def __call__(self, task: Task) -> Result:
        """OK, with the number of processes that are being ended."""
        count = self._end_runs()
        return Result(id=task.id, run=task.entry.command.run, state="OK", data=str(count), level=RESULT_JSON)


async def restart(task: Task) -> Result:
    """OK; the agent ends once this is in its journal, and its service manager starts it again."""
    return Result(id=task.id, run=task.entry.command.run, state="OK", data="true", level=RESULT_JSON)
