"""Which agents, and hosts under them, a list is asked for, in which order and in which pages."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from deployer.errors import MalformedError
from deployer.model.access import Caller
from deployer.model.targets import MAX_CHARS, BadTarget, Candidate, Target, parse
from deployer.protocol.ids import AgentId
from deployer.protocol.traits import Word
from deployer.rest.paging import PageQuery
from deployer.stores.agents import AgentRecord, Agents, AgentState
from deployer.stores.hosts import HostRecord, Hosts

GB: Final = 1_000_000_000
READ: Final = 100
A_PAGE: Final = 1000
"""So many agents are looked at for one page: one of what is rare may be short, or empty, and go on."""
KEY_BYTES: Final = 255
SORTED: Final = 10_000
"""So many of those that are asked for can be sorted."""

_LABEL: Final = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}(=[^,\x00-\x1f\x7f]{0,128})?"
Labels = Annotated[
    str,
    Meta(
        pattern=rf"^{_LABEL}(,{_LABEL}){{0,19}}\Z",
        description="As owner=eve,stage: the label owner with this value and the label stage with any",
    ),
]
Hostname = Annotated[str, Meta(max_length=255)]
_PLACE = re.compile(r"(?:([A-Za-z0-9_-]{0,340})~)?([1-9][0-9]{0,9})\.([1-9][0-9]{0,9})", re.ASCII)


class FleetQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which agents, by their state and what is said of them; what is left out is any. In which order.

    `target` is an expression as a job's.
    """

    state: AgentState | None = None
    name: Hostname | None = None
    version: Annotated[str, Meta(max_length=64)] | None = None
    role: Word | None = None
    labels: Labels | None = None
    rack: Word | None = None
    zone: Word | None = None
    datacenter: Word | None = None
    region: Word | None = None
    target: Annotated[str, Meta(max_length=MAX_CHARS)] | None = None
    sort: Literal["id", "name", "-name", "last_seen", "-last_seen"] = "id"

    def fits(self, seen: "Seen") -> bool:
        """Whether an agent is one of those, as far as `target` does not say."""
        record = seen.record
        traits = record.traits
        pairs = (
            (self.state, record.state),
            (self.name, seen.name),
            (self.version, record.version),
            (self.rack, traits.rack),
            (self.zone, traits.zone),
            (self.datacenter, traits.datacenter),
            (self.region, traits.region),
        )
        if not all(wanted in {None, its} for wanted, its in pairs):
            return False
        return self.role in {None, *(traits.roles or ())} and _has(traits.labels or {}, self.labels)


class FleetPage(Struct, frozen=True):
    """Some agents, and the cursor of the next ones."""

    records: list[AgentRecord]
    next: str | None


Fits = Callable[["Seen"], bool]


class Keyed(Struct, frozen=True):
    """An agent with what it is sorted by."""

    key: bytes
    agent: AgentId
    record: AgentRecord

    @property
    def place(self) -> tuple[bytes, AgentId]:
        """Where it stands."""
        return self.key, self.agent


class Place(Struct, frozen=True):
    """Behind an agent, in a list by number or by `key`."""

    agent: AgentId
    key: bytes | None = None

    def __str__(self) -> str:
        """The form of cursors."""
        number = f"{self.agent.gid}.{self.agent.nid}"
        return number if self.key is None else f"{urlsafe_b64encode(self.key).rstrip(b'=').decode()}~{number}"

    @classmethod
    def parse(cls, cursor: str, *, keyed: bool) -> "Place":
        """Read what `str()` wrote of a list of this kind; MalformedError for anything else."""
        match = _PLACE.fullmatch(cursor)
        if match is None or (match[1] is not None) != keyed:
            raise MalformedError("this cursor was not made here")
        try:
            return cls(AgentId.parse(f"{match[2]}:{match[3]}"), _key(match[1]))
        except ValueError:
            raise MalformedError("this cursor was not made here") from None


class Seen(Struct, frozen=True):
    """An agent, its host as far as it has told of it, and the name by which it is listed."""

    record: AgentRecord
    host: HostRecord | None
    name: str


class Fleet:
    """A company's agents and the hosts under them."""

    def __init__(self, agents: Agents, hosts: Hosts) -> None:
        self._agents = agents
        self._hosts = hosts

    async def page(self, caller: Caller, query: FleetQuery, *, by_host: bool = False) -> FleetPage:
        """A page of agents that the caller may use; `by_host`: their names are those of their hosts."""
        fits = _filter(query)
        has_hosts = by_host or query.target is not None

        async def every(after: AgentId | None) -> AsyncIterator[Seen]:
            while found := await self._agents.agents(caller.company, after, READ, caller.agents):
                ids = [one.id for one in found]
                hosts = await self._hosts.records(ids) if has_hosts else [None] * len(found)
                for one, host in zip(found, hosts, strict=True):
                    yield Seen(one, host, host.summary.name if by_host and host is not None else one.hostname)
                after = ids[-1]

        return await _by_number(query, fits, every) if query.sort == "id" else await _by_key(query, fits, every(None))

    async def meant(self, caller: Caller, target: Target, most: int) -> list[AgentRecord]:
        """The agents that a target means among those that the caller may use, at most one more than `most`."""
        found: list[AgentRecord] = []
        after: AgentId | None = None
        while len(found) <= most and (page := await self._agents.agents(caller.company, after, READ, caller.agents)):
            hosts = await self._hosts.records([one.id for one in page])
            for one, host in zip(page, hosts, strict=True):
                if one.state != "revoked" and target.takes(candidate(one, host)):
                    found.append(one)
            after = page[-1].id
        return found[: most + 1]


def candidate(agent: AgentRecord, host: HostRecord | None) -> Candidate:
    """What a target may be about."""
    known = None if host is None else host.summary
    return Candidate(
        id=agent.id,
        name=agent.hostname,
        state=agent.state,
        version=agent.version,
        traits=agent.traits,
        os=None if known is None else known.os,
        cpu=None if known is None else known.cpu,
        cores=None if known is None else known.cores,
        memory=None if known is None else known.memory / GB,
    )


def _filter(query: FleetQuery) -> Fits:
    """Whether an agent is one of those; MalformedError for a target that is none."""
    if query.target is None:
        return query.fits
    try:
        target = parse(query.target)
    except BadTarget as error:
        raise MalformedError(f"in the query: target: {error}") from None
    return lambda seen: query.fits(seen) and target.takes(candidate(seen.record, seen.host))


async def _by_number(
    query: FleetQuery, fits: Fits, every: Callable[[AgentId | None], AsyncIterator[Seen]]
) -> FleetPage:
    found: list[AgentRecord] = []
    looked = 0
    async for seen in every(None if query.cursor is None else Place.parse(query.cursor, keyed=False).agent):
        if fits(seen):
            if len(found) == query.limit:
                return FleetPage(found, str(Place(found[-1].id)))
            found.append(seen.record)
        looked += 1
        if looked == A_PAGE:
            return FleetPage(found, str(Place(seen.record.id)))
    return FleetPage(found, None)


async def _by_key(query: FleetQuery, fits: Fits, every: AsyncIterator[Seen]) -> FleetPage:
    """MalformedError when there are too many to sort."""
    place = None if query.cursor is None else Place.parse(query.cursor, keyed=True)
    key = _KEYS[query.sort.removeprefix("-")]
    found: list[Keyed] = []
    async for seen in every:
        if fits(seen):
            found.append(Keyed(key(seen), seen.record.id, seen.record))
            if len(found) > SORTED:
                raise MalformedError(
                    f"more than {SORTED} agents cannot be sorted: ask for fewer by state, role or labels"
                )
    found.sort(key=lambda one: one.place, reverse=query.sort.startswith("-"))
    behind = [one for one in found if place is None or _is_behind(one.place, place, query.sort)]
    page = behind[: query.limit]
    more = len(behind) > query.limit
    return FleetPage([one.record for one in page], str(Place(page[-1].agent, page[-1].key)) if more else None)


def _key(text: str | None) -> bytes | None:
    return None if text is None else urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _is_behind(its: tuple[bytes, AgentId], place: Place, sort: str) -> bool:
    there = (place.key or b"", place.agent)
    return its < there if sort.startswith("-") else its > there


def _has(labels: Mapping[str, str], wanted: str | None) -> bool:
    pairs = [] if wanted is None else [one.partition("=") for one in wanted.split(",")]
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in pairs)


_KEYS: Final[Mapping[str, Callable[[Seen], bytes]]] = {
    "name": lambda seen: seen.name.encode("utf-8", "surrogatepass")[:KEY_BYTES],
    "last_seen": lambda seen: b"%015d" % (seen.record.last_seen or 0),
}
