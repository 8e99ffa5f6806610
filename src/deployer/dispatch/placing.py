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

    def begin(self, company: str) -> "Seating":
        """Look at agents anew, for the next tasks of one job."""
        return Seating(self, company)

    async def seats(self, company: str, ids: Sequence[AgentId]) -> list[Seat]:
        """How these agents stand."""
        records = await self._agents.those(company, ids)
        rooms = await self._plans.rooms([one.id for one in records])
        return [_seat(record, room) for record, room in zip(records, rooms, strict=True)]

    def some(self, named: Sequence[str]) -> list[AgentId]:
        """As many as are looked at, others each time."""
        if not named:
            return []
        begin = self._turn % len(named)
        self._turn += CANDIDATES
        turned = [*named[begin:], *named[:begin]]
        return [AgentId.parse(one) for one in turned[:CANDIDATES]]


class Seating:
    """Agents as they were when they were looked at, and what they have got here since.

    Others may fill them meanwhile: who makes the tasks looks at the room of each once more.
    """

    def __init__(self, placing: Placing, company: str) -> None:
        self._placing = placing
        self._company = company
        self._seats: dict[AgentId, Seat] = {}
        self._free: frozenset[AgentId] | None = None

    async def agents(self, plan: Plan, some: Sequence[Planned]) -> list[Chosen | None]:
        """An agent for each task; None where nobody has room now."""
        requires = plan.job.document.requires
        wanted = [AgentId.parse(one.agent) if one.agent else None for one in some]
        fixed = [one for one in wanted if one is not None]
        if len(fixed) == len(some):
            if requires is None:
                return [Chosen(one) for one in fixed]
        elif self._free is None:
            self._free = frozenset(self._placing.some(plan.need.agents))
        await self._look([*fixed, *(self._free or ())])
        found = seated(self._seats.values(), self._free or frozenset(), wanted, requires or NOTHING)
        self._seats.update({seat.agent: seat.taken(requires or NOTHING) for seat in found if seat is not None})
        return [None if seat is None else _chosen(seat) for seat in found]

    def is_deserted(self, plan: Plan) -> bool:
        """Whether of the agents that may have its tasks none is there any more, as far as that was looked at."""
        named = [AgentId.parse(one) for one in plan.need.agents]
        seats = [self._seats.get(one) for one in named] if self._free is not None else []
        return bool(seats) and len(named) <= CANDIDATES and all(one is None or one.gone for one in seats)

    async def _look(self, ids: Sequence[AgentId]) -> None:
        new = [one for one in dict.fromkeys(ids) if one not in self._seats]
        if new:
            self._seats.update({seat.agent: seat for seat in await self._placing.seats(self._company, new)})


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
