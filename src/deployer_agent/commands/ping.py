"""`ping`: is the agent there?"""

from deployer.protocol.commands import NoArgs
from deployer.protocol.levels import RESULT_JSON
from deployer.protocol.results import Result
from deployer_agent.journal.records import Entry


async def ping(entry: Entry, args: NoArgs) -> Result:  # noqa: ARG001 (a handler's form)
    """Answer."""
    return Result(id=entry.command.id, run=entry.command.run, state="OK", data='"pong"', level=RESULT_JSON)
