"""The rest of a job's log, which lies with its agent: what was more than the master's share (DESIGN 4).

It is asked for by a job of our own, `get_msgs`, so that it takes the way of every command.
"""

from typing import Final

import msgspec
from msgspec import Struct

from deployer.dispatch.jobs import Dispatcher, NewJob
from deployer.errors import MalformedError, UnavailableError
from deployer.model.access import Caller
from deployer.protocol.getmsgs import GetMsgsArgs
from deployer.protocol.ids import AgentId
from deployer.stores.jobs import JobRecord

PREFIX: Final = "agent."
WAIT_S: Final = 20.0
EXPIRES_MS: Final = 60_000
COMMAND: Final = "get_msgs"


class AgentMessage(Struct, frozen=True):
    """One message as the agent tells it."""

    id: int
    epoch: int
    level: int
    data: str
    flags: int = 0
    jobid: str | None = None
    domain: str = ""
    name: str = ""


class AgentPage(Struct, frozen=True):
    """Some of them; `next` is where the following ones begin."""

    items: list[AgentMessage]
    next: str | None


class _Levels(Struct, frozen=True):
    """Which levels of a job its user asked to have at the master."""

    loglevels_ac: str | None = None


class AgentLogs:
    """Reads what agents keep."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def page(self, caller: Caller, record: JobRecord, after: int, count: int) -> AgentPage:
        """Up to `count` messages of a job after a number; UnavailableError when its agent does not answer in time."""
        document = record.document
        wanted = msgspec.json.decode(bytes(document.args), type=_Levels)
        args = GetMsgsArgs(
            jobid=document.id, order="asc", cursor=str(after), limit=count, levels=wanted.loglevels_ac or "*"
        )
        agent = document.agent
        if agent is None:
            raise MalformedError("this cursor was not made here")
        return await self.search(caller, agent, args)

    async def search(self, caller: Caller, agent: AgentId, args: GetMsgsArgs) -> AgentPage:
        """Messages that an agent keeps; UnavailableError when it does not answer in time."""
        until = self._dispatcher.now_ms() + EXPIRES_MS
        new = NewJob(id=None, cmd=COMMAND, args=args, data="", target=str(agent), agents=[agent], not_after=until)
        asked, _ = await self._dispatcher.submit_and_wait(caller, new, WAIT_S)
        task = await self._dispatcher.task(caller.company, asked.document.id, agent)
        if task.result is None or task.result.state != "OK":
            raise UnavailableError(f"the rest of this log is kept by agent {agent}, which does not answer: try again")
        return msgspec.json.decode(task.result.data, type=AgentPage)
