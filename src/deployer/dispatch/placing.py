"""On which agents planned tasks come: their own, or the one with room that has the least to do."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from deployer.model.placement import Seat, seated
from deployer.model.plans import THOUSANDTHS, Planned, Requires
from deployer.protocol.ids import AgentId
from deployer.stores.agents import AgentRecord, Agents
from deployer.stores.plans import Plan, Plans, Room

CANDIDATES: Final = 500
"""So many agents are looked at for one lot of tasks, others for the next one."""
NOTHING: Final = Requires()


class Chosen(Struct, frozen=True):
    """An agent, and its limits: bytes, thousandths of a core, tasks at once; none is any."""

    agent: AgentId
    max_ram: int | None = None
    max_load: int | None = None
    max_jobs: int | None = None


class Placing:
    """Finds agents for planned tasks."""

    def __init__(self, agents: Agents, plans: Plans) -> None:
        self._agents = agents
        self._plans = plans
        self._turn = 0

    async def agents(self, company: str, plan: Plan, some: Sequence[Planned]) -> list[Chosen | None]:
        """An agent for each task; None where nobody has room now."""
        requires = plan.job.document.requires
        fixed = [AgentId.parse(one.agent) for one in some if one.agent]
        if len(fixed) == len(some) and requires is None:
            return [Chosen(one) for one in fixed]
        candidates = [] if len(fixed) == len(some) else self._some(plan.need.agents)
        seats = await self._seats(company, list(dict.fromkeys([*fixed, *candidates])))
        wanted = [AgentId.parse(one.agent) if one.agent else None for one in some]
        found = seated(seats, frozenset(candidates), wanted, requires or NOTHING)
        return [None if seat is None else _chosen(seat) for seat in found]

    def _some(self, named: Sequence[str]) -> list[AgentId]:
        """As many as are looked at, others each time."""
        if not named:
            return []
        begin = self._turn % len(named)
        self._turn += CANDIDATES
        turned = [*named[begin:], *named[:begin]]
        return [AgentId.parse(one) for one in turned[:CANDIDATES]]

    async def _seats(self, company: str, ids: Sequence[AgentId]) -> list[Seat]:
        records = await self._agents.those(company, ids)
        rooms = await self._plans.rooms([one.id for one in records])
        return [_seat(record, room) for record, room in zip(records, rooms, strict=True)]


def _seat(record: AgentRecord, room: Room) -> Seat:
    traits = record.traits
    return Seat(
        agent=record.id,
        online=record.state == "online",
        gone=record.state == "revoked",
        jobs=room.jobs,
        ram=room.ram,
        load=room.load,
        max_jobs=traits.max_jobs,
        max_ram=traits.max_ram,
        max_load=None if traits.max_load is None else round(traits.max_load * THOUSANDTHS),
    )


def _chosen(seat: Seat) -> Chosen:
    return Chosen(seat.agent, seat.max_ram, seat.max_load, seat.max_jobs)
