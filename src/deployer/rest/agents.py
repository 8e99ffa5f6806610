"""Agents: who they are and when they were last heard."""

from msgspec import Struct
from twisted.logger import Logger

from deployer.errors import ChangedError, InvalidError, NotFoundError, UnavailableError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model.access import Caller, Permission
from deployer.model.traits import TraitsChange, changed
from deployer.protocol.ids import AgentId
from deployer.protocol.times import iso, iso_or_none
from deployer.protocol.traits import Traits
from deployer.rest.answers import Answer
from deployer.rest.conditional import Match, etag
from deployer.rest.endpoint import endpoint
from deployer.rest.fleet import Fleet, FleetQuery
from deployer.rest.references import (
    CompanyReference,
    HostReference,
    UsersReference,
    agent_href,
    company_href,
    host_href,
)
from deployer.stores.agents import AgentRecord, Agents, Duplicate

TRIES = 10


class DuplicateAnswer(Struct, frozen=True):
    """Another instance with the agent's key, the last one: a copied data directory, or one whose journal was lost.

    `outcome`: `refused` (the agent lives), `took over` (it did not answer), `quarantined` (too often to be admitted).
    """

    instance: str
    hostname: str
    at: str
    outcome: str


class AgentAnswer(Struct, frozen=True, kw_only=True):
    """An agent as clients see it.

    Roles, labels, place and limits are those that count: what the agent's file declares, with what was changed here.
    """

    id: str
    gid: int
    nid: int
    href: str
    company: CompanyReference
    users: UsersReference
    state: str
    last_seen: str | None
    joined: str | None
    host: HostReference
    hostname: str
    version: str
    roles: list[str]
    labels: dict[str, str]
    rack: str | None
    zone: str | None
    datacenter: str | None
    region: str | None
    max_jobs: int | None
    max_ram: int | None
    max_load: float | None
    declared: Traits
    changes: Traits
    extensions: list[str] = []
    duplicate: DuplicateAnswer | None = None


class RevokedAgent(Struct, frozen=True):
    """It gets no session any more."""

    id: str
    state: str


class AgentPage(Struct, frozen=True):
    """Some agents, and where the next ones begin."""

    items: list[AgentAnswer]
    next: str | None


class AgentRoutes:
    """`/api/v1/agents`."""

    log = Logger()

    def __init__(self, agents: Agents, fleet: Fleet, wall: WallClock) -> None:
        self._agents = agents
        self._fleet = fleet
        self._wall = wall

    @endpoint("GET", "/api/v1/agents", needs=Permission.READ, returns=AgentPage, query=FleetQuery)
    async def list_all(self, caller: Caller, query: FleetQuery) -> AgentPage:
        """Agents that the caller may use, by number. A page may hold fewer than `limit` and have a next."""
        page = await self._fleet.page(caller, query)
        return AgentPage([_answer(one) for one in page.records], page.next)

    @endpoint("GET", "/api/v1/agents/<agent>", needs=Permission.READ, returns=AgentAnswer)
    async def show(self, caller: Caller, agent: str) -> Answer:
        """One agent."""
        return _shown(await self._agents.agent(caller.company, known_agent(caller, agent)))

    @endpoint(
        "PATCH",
        "/api/v1/agents/<agent>",
        needs=Permission.MANAGE,
        returns=AgentAnswer,
        body=TraitsChange,
        conditional=True,
    )
    async def change(self, caller: Caller, agent: str, body: TraitsChange, match: Match) -> Answer:
        """Change roles, labels and place; null goes back to what the agent declares."""
        known = known_agent(caller, agent)
        return _shown(await change_traits(self._agents, caller, known, body, match))

    @endpoint("DELETE", "/api/v1/agents/<agent>", needs=Permission.MANAGE, returns=RevokedAgent)
    async def revoke(self, caller: Caller, agent: str) -> RevokedAgent:
        """Revoke an agent: its session ends at once, it gets no other, and its key joins nothing again.

        The record stays, with its number. What runs on the host goes on until it ends there.
        """
        known = known_agent(caller, agent)
        await self._agents.revoke(caller.company, known, epoch_ms(self._wall))
        self.log.warn("audit: user {user} revokes agent {agent}", user=caller.user, agent=str(known))
        return RevokedAgent(str(known), "revoked")


async def change_traits(
    agents: Agents, caller: Caller, agent: AgentId, change: TraitsChange, match: Match
) -> AgentRecord:
    """Change what is said of an agent and its host here; the agent as it is then."""
    for _ in range(TRIES):
        known = await agents.agent(caller.company, agent)
        match.require(known.traits_version)
        try:
            await agents.change_traits(known, changed(known.changes, change))
        except ValueError as error:
            raise InvalidError("/labels", str(error)) from None
        except ChangedError:
            continue
        return await agents.agent(caller.company, agent)
    raise UnavailableError("this agent changes too fast; try again in a moment")


def traits_etag(record: AgentRecord) -> tuple[str, str]:
    """Of what is said of an agent here; the rest of it changes by itself."""
    return etag(record.traits_version)


def _shown(record: AgentRecord) -> Answer:
    return Answer(_answer(record), 200, (traits_etag(record),), changing=True)


def known_agent(caller: Caller, text: str) -> AgentId:
    """The number in a path; NotFoundError for what is none, or not the caller's, as for one that does not exist."""
    try:
        agent = AgentId.parse(text)
    except ValueError:
        agent = None
    if agent is None or not caller.sees(agent):
        raise NotFoundError("this agent does not exist")
    return agent


def _answer(record: AgentRecord) -> AgentAnswer:
    traits = record.traits
    return AgentAnswer(
        id=str(record.id),
        gid=record.id.gid,
        nid=record.id.nid,
        href=agent_href(record.id),
        company=CompanyReference(record.company, company_href(record.company)),
        users=UsersReference(f"/api/v1/users?agent={record.id}"),
        state=record.state,
        last_seen=iso_or_none(record.last_seen),
        joined=iso_or_none(record.joined),
        host=HostReference(host_href(record.id)),
        hostname=record.hostname,
        version=record.version,
        roles=traits.roles or [],
        labels=traits.labels or {},
        rack=traits.rack,
        zone=traits.zone,
        datacenter=traits.datacenter,
        region=traits.region,
        max_jobs=traits.max_jobs,
        max_ram=traits.max_ram,
        max_load=traits.max_load,
        declared=record.declared,
        changes=record.changes,
        extensions=list(record.extensions),
        duplicate=_duplicate(record.duplicate),
    )


def _duplicate(known: Duplicate | None) -> DuplicateAnswer | None:
    return None if known is None else DuplicateAnswer(known.instance, known.hostname, iso(known.at), known.outcome)
