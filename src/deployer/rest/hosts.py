"""Hosts: what the machines under the agents are, and how they became so."""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType

from deployer.errors import MalformedError, NotFoundError
from deployer.model.access import Caller, Permission
from deployer.model.facts import Change
from deployer.model.traits import TraitsChange
from deployer.protocol.facts import HostFacts
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.agents import change_traits, known_agent, traits_etag
from deployer.rest.answers import Answer
from deployer.rest.conditional import Match
from deployer.rest.endpoint import endpoint
from deployer.rest.fleet import GB, Fleet, FleetQuery
from deployer.rest.paging import PageQuery
from deployer.rest.references import AgentReference, host_href
from deployer.stores.agents import AgentRecord, Agents
from deployer.stores.hosts import HostRecord, Hosts


class FactsReference(Struct, frozen=True):
    """Where a host's facts are, and in the answer for one host what they are; nulls: none are told yet."""

    href: str
    sha256: str | None
    current: HostFacts | UnsetType | None = UNSET


class HistoryReference(Struct, frozen=True):
    """How many versions of a host's facts there were, and where the last hundred of them are."""

    href: str
    count: int


class HostAnswer(Struct, frozen=True, kw_only=True):
    """A host as clients see it. `cpu`: its model; `memory`: GB of 10^9 bytes, to 0.01; nulls: not told yet."""

    id: str
    href: str
    agent: AgentReference
    state: str
    name: str
    cpu: str | None
    cores: int | None
    memory: float | None
    os: str | None
    roles: list[str]
    labels: dict[str, str]
    rack: str | None
    zone: str | None
    datacenter: str | None
    region: str | None
    first_seen: str | None
    last_seen: str | None
    facts: FactsReference
    versions: HistoryReference


class HostPage(Struct, frozen=True):
    """Some hosts, and where the next ones begin."""

    items: list[HostAnswer]
    next: str | None


class VersionAnswer(Struct, frozen=True):
    """What a host became at `epoch` (ms). `more`: so many changes are not listed as they were too many.

    `path` of a change is a JSON pointer in which items of lists go by mountpoint, name or their text; `old` is null for
    what was added, `new` for what was removed. The first version has no changes.
    """

    n: int
    at: str
    epoch: int
    changes: Sequence[Change]
    more: int


class VersionPage(Struct, frozen=True):
    """Some versions, newest first, and where the next ones begin."""

    items: list[VersionAnswer]
    next: str | None


class HostRoutes:
    """`/api/v1/hosts`."""

    def __init__(self, agents: Agents, hosts: Hosts) -> None:
        self._agents = agents
        self._fleet = Fleet(agents, hosts)
        self._hosts = hosts

    @endpoint("GET", "/api/v1/hosts", needs=Permission.READ, returns=HostPage, query=FleetQuery)
    async def list_all(self, caller: Caller, query: FleetQuery) -> HostPage:
        """Hosts of agents that the caller may use. A page may hold fewer than `limit` and have a next."""
        page = await self._fleet.page(caller, query, by_host=True)
        records = await self._hosts.records([one.id for one in page.records])
        return HostPage([_answer(*pair) for pair in zip(page.records, records, strict=True)], page.next)

    @endpoint("GET", "/api/v1/hosts/<host>", needs=Permission.READ, returns=HostAnswer)
    async def show(self, caller: Caller, host: str) -> Answer:
        """One host with its facts."""
        agent = await self._agent(caller, host)
        return await self._shown(agent)

    @endpoint(
        "PATCH",
        "/api/v1/hosts/<host>",
        needs=Permission.MANAGE,
        returns=HostAnswer,
        body=TraitsChange,
        conditional=True,
    )
    async def change(self, caller: Caller, host: str, body: TraitsChange, match: Match) -> Answer:
        """Change roles, labels and place of a host and its agent; null goes back to what the agent declares."""
        agent = await self._agent(caller, host)
        return await self._shown(await change_traits(self._agents, caller, agent.id, body, match))

    async def _shown(self, agent: AgentRecord) -> Answer:
        (record,) = await self._hosts.records([agent.id])
        answer = _answer(agent, record, None if record is None else await self._hosts.facts(agent.id))
        return Answer(answer, 200, (traits_etag(agent),), changing=True)

    @endpoint("GET", "/api/v1/hosts/<host>/facts", needs=Permission.READ, returns=HostFacts)
    async def facts(self, caller: Caller, host: str) -> HostFacts:
        """All that is known of one host now."""
        return await self._hosts.facts((await self._agent(caller, host)).id)

    @endpoint("GET", "/api/v1/hosts/<host>/history", needs=Permission.READ, returns=VersionPage, query=PageQuery)
    async def history(self, caller: Caller, host: str, query: PageQuery) -> VersionPage:
        """What changed of one host and when, newest first."""
        agent = await self._agent(caller, host)
        found = await self._hosts.versions(agent.id, _number(query.cursor), query.limit + 1)
        page = found[: query.limit]
        items = [VersionAnswer(one.n, iso(one.at), one.at, one.changes, one.more) for one in page]
        return VersionPage(items, str(page[-1].n) if len(found) > query.limit else None)

    async def _agent(self, caller: Caller, host: str) -> AgentRecord:
        try:
            return await self._agents.agent(caller.company, known_agent(caller, host))
        except NotFoundError:
            raise NotFoundError("this host does not exist") from None


def _number(cursor: str | None) -> int | None:
    """The number that versions are to be below."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):  # noqa: PLR2004 (more than any host has)
        raise MalformedError("this cursor was not made here")
    return int(cursor)


def _name(agent: AgentRecord, host: HostRecord | None) -> str:
    return agent.hostname if host is None else host.summary.name


def _answer(agent: AgentRecord, host: HostRecord | None, facts: HostFacts | UnsetType | None = UNSET) -> HostAnswer:
    href, traits = host_href(agent.id), agent.traits
    short = None if host is None else host.summary
    return HostAnswer(
        id=str(agent.id),
        href=href,
        agent=AgentReference.to(agent.id),
        state=agent.state,
        name=_name(agent, host),
        cpu=None if short is None else short.cpu,
        cores=None if short is None else short.cores,
        memory=None if short is None else round(short.memory / GB, 2),
        os=None if short is None else short.os,
        roles=traits.roles or [],
        labels=traits.labels or {},
        rack=traits.rack,
        zone=traits.zone,
        datacenter=traits.datacenter,
        region=traits.region,
        first_seen=iso_or_none(agent.joined),
        last_seen=iso_or_none(agent.last_seen),
        facts=FactsReference(f"{href}/facts", None if host is None else host.sha256, facts),
        versions=HistoryReference(f"{href}/history", 0 if host is None else host.versions),
    )
