"""`ping`: is the agent there?"""

from deployer.protocol.levels import RESULT_JSON
from deployer.protocol.results import Result
from deployer_agent.commands.registry import Task


async def ping(task: Task) -> Result:
    """Answer."""
    return Result(id=task.id, run=task.entry.command.run, state="OK", data='"pong"', level=RESULT_JSON)
