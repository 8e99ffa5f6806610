"""`limit`: the master gives a task's process another time limit, whether it runs already or is about to."""

from collections.abc import Callable

from deployer.protocol.commands import LimitArgs
from deployer.protocol.levels import RESULT_JSON
from deployer.protocol.results import Result
from deployer_agent.commands.registry import Task


class Limit:
    """Tells who runs processes. `limit`: a task's id, seconds."""

    def __init__(self, limit: Callable[[str, float], None]) -> None:
        self._limit = limit

    async def __call__(self, task: Task) -> Result:
        """OK: what does not run here yet has the limit when it does."""
        args: LimitArgs = task.args
        self._limit(args.id, args.max_time)
        return Result(id=task.id, run=task.entry.command.run, state="OK", data="true", level=RESULT_JSON)
