"""`kill`: the master's own command that ends one task, running or waiting to start."""

from collections.abc import Callable

from twisted.internet.defer import Deferred

from deployer.protocol import codes
from deployer.protocol.commands import KillArgs
from deployer.protocol.results import Result
from deployer_agent.commands.outcome import refused
from deployer_agent.journal.records import Entry


class Kill:
    """Ends a task that is here; `end` tells whether it was, `knows` asks the journal about one that is not any more."""

    def __init__(self, end: Callable[[str], bool], knows: Callable[[str], Deferred[bool]]) -> None:
        self._end = end
        self._knows = knows

    async def __call__(self, entry: Entry, args: KillArgs) -> Result:
        """OK when the task is being ended or has ended; its own result says how."""
        if self._end(args.task) or await self._knows(args.task):
            return Result(id=entry.command.id, run=entry.command.run, state="OK")
        return refused(entry.key, codes.NO_SUCH_TASK, f"this agent has no task {args.task}")
