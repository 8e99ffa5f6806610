"""The processes of a company's agents with what they consume, by agent, domain and name."""

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from msgspec import Struct

from deployer.errors import MalformedError
from deployer.model.access import Caller, Permission
from deployer.model.current import Row
from deployer.protocol.ids import MAX_GRID, AgentId, GridId, Name, NodeId
from deployer.protocol.times import iso
from deployer.rest.agents import agent_href
from deployer.rest.endpoint import endpoint
from deployer.rest.jobs import AgentReference
from deployer.rest.paging import PageQuery
from deployer.stores.agents import Agents
from deployer.stores.points import Points

AGENTS_A_READ: Final = 10
AGENTS_A_PAGE: Final = 500
"""So many agents are looked at for one page: one with a rare name may be short, or empty, and go on."""

_CURSOR: Final = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})(?:\.([0-9]{1,6})\.([0-9a-f]{16}))?", re.ASCII)


class ProcessQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which processes; what is left out is any."""

    gid: GridId | None = None
    nid: NodeId | None = None
    domain: Name | None = None
    name: Name | None = None


class ProcessAnswer(Struct, frozen=True):
    """What runs under one domain and name on one agent: numbers of the slot of `step` seconds from `epoch` (ms)."""

    agent: AgentReference
    domain: str
    name: str
    values: dict[str, float]
    at: str
    epoch: int
    step: int


class ProcessPage(Struct, frozen=True):
    """Some processes, and where the next ones begin."""

    items: list[ProcessAnswer]
    next: str | None


class Place(Struct, frozen=True):
    """Behind an agent, or behind one of its rows: its index, and a digest that finds it when others came or went."""

    agent: AgentId
    index: int | None = None
    digest: str = ""

    def __str__(self) -> str:
        """The form of cursors."""
        inside = "" if self.index is None else f".{self.index}.{self.digest}"
        return f"{self.agent.gid}.{self.agent.nid}{inside}"

    @classmethod
    def parse(cls, cursor: str) -> "Place":
        """Read what `str()` wrote; MalformedError for anything else."""
        match = _CURSOR.fullmatch(cursor)
        if match is None or not all(1 <= int(number) <= MAX_GRID for number in match.group(1, 2)):
            raise MalformedError("this cursor was not made here")
        agent = AgentId(int(match[1]), int(match[2]))
        return cls(agent) if match[3] is None else cls(agent, int(match[3]), match[4])

    @property
    def before(self) -> AgentId:
        """The number that agents are to come after."""
        return self.agent if self.index is None else AgentId(self.agent.gid, self.agent.nid - 1)

    def rest(self, agent: AgentId, rows: Sequence[Row]) -> int:
        """The index of the first row of an agent that is behind this place."""
        if self.index is None or agent != self.agent:
            return 0
        return next((index + 1 for index, row in enumerate(rows) if _digest(row) == self.digest), self.index)


class ProcessRoutes:
    """`/api/v1/processes`."""

    def __init__(self, agents: Agents, points: Points) -> None:
        self._agents = agents
        self._points = points

    @endpoint("GET", "/api/v1/processes", needs=Permission.READ, returns=ProcessPage, query=ProcessQuery)
    async def list_all(self, caller: Caller, query: ProcessQuery) -> ProcessPage:
        """What runs on the company's agents and was heard of in the last minutes."""
        place = last = _start(query)
        items: list[ProcessAnswer] = []
        looked = 0
        async for agent, rows in self._rows(caller, place, query):
            first = 0 if place is None else place.rest(agent, rows)
            for index, row in enumerate(rows[first:], first):
                if not _is_wanted(row, query):
                    continue
                if len(items) == query.limit:
                    return ProcessPage(items, str(last))
                items.append(_answer(agent, row))
                last = Place(agent, index, _digest(row))
            looked += 1
            if looked == AGENTS_A_PAGE:
                return ProcessPage(items, str(Place(agent)))
        return ProcessPage(items, None)

    async def _rows(
        self, caller: Caller, place: Place | None, query: ProcessQuery
    ) -> AsyncIterator[tuple[AgentId, Sequence[Row]]]:
        """The agents from a place on, each with its rows; none for one that is not asked for."""
        after = None if place is None else place.before
        while found := await self._agents.agents(caller.company, after, AGENTS_A_READ, caller.agents):
            ids = [one.id for one in found if query.nid in {None, one.id.nid} and query.gid in {None, one.id.gid}]
            rows = dict(zip(ids, await self._points.current(ids), strict=True))
            for one in found:
                yield one.id, rows.get(one.id, ())
            after = found[-1].id
            if query.gid is not None and (after.gid, after.nid) >= (query.gid, query.nid or MAX_GRID):
                return


def _start(query: ProcessQuery) -> Place | None:
    if query.cursor is not None:
        return Place.parse(query.cursor)
    return None if query.gid is None else Place(AgentId(query.gid, (query.nid or 1) - 1))


def _is_wanted(row: Row, query: ProcessQuery) -> bool:
    return not row.is_host and query.domain in {None, row.domain} and query.name in {None, row.name}


def _digest(row: Row) -> str:
    return hashlib.sha256(f"{row.domain}\n{row.name}".encode()).hexdigest()[:16]


def _answer(agent: AgentId, row: Row) -> ProcessAnswer:
    reference = AgentReference(agent.gid, agent.nid, agent_href(agent))
    return ProcessAnswer(reference, row.domain, row.name, row.values, iso(row.at * 1000), row.at * 1000, row.step)
