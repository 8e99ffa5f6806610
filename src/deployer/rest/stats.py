"""What an agent's host and its processes consume now."""

from collections.abc import Sequence

from msgspec import Struct

from deployer.model.access import Caller, Permission
from deployer.model.current import Row
from deployer.protocol.ids import AgentId
from deployer.protocol.times import iso_or_none
from deployer.rest.agents import known_agent
from deployer.rest.endpoint import endpoint
from deployer.rest.references import AgentReference
from deployer.stores.agents import Agents
from deployer.stores.points import Points


class StatsAnswer(Struct, frozen=True, kw_only=True):
    """The numbers of the slot of `step` seconds that began at `epoch` (ms); nulls when there are none yet.

    A process has its `domain` and `name` beside its numbers.
    """

    agent: AgentReference
    at: str | None
    epoch: int | None
    step: int | None
    host: dict[str, float]
    processes: list[dict[str, float | str]]


class StatsRoutes:
    """`/api/v1/agents/<agent>/stats`."""

    def __init__(self, agents: Agents, points: Points) -> None:
        self._agents = agents
        self._points = points

    @endpoint("GET", "/api/v1/agents/<agent>/stats", needs=Permission.READ, returns=StatsAnswer)
    async def show(self, caller: Caller, agent: str) -> StatsAnswer:
        """The last numbers of one agent."""
        found = await self._agents.agent(caller.company, known_agent(caller, agent))
        (rows,) = await self._points.current([found.id])
        return _answer(found.id, rows)


def _answer(agent: AgentId, rows: Sequence[Row]) -> StatsAnswer:
    host = next((row for row in rows if row.is_host), None)
    newest = host or max(rows, key=lambda row: row.at, default=None)
    epoch = None if newest is None else newest.at * 1000
    return StatsAnswer(
        agent=AgentReference.to(agent),
        at=iso_or_none(epoch),
        epoch=epoch,
        step=None if newest is None else newest.step,
        host={} if host is None else host.values,
        processes=[{**row.values, "domain": row.domain, "name": row.name} for row in rows if not row.is_host],
    )
