"""Which agents, and hosts under them, a list is asked for, in which order and in which pages."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from deployer.errors import MalformedError
from deployer.model.access import Caller
from deployer.protocol.ids import AgentId
from deployer.protocol.traits import Word
from deployer.rest.paging import PageQuery
from deployer.stores.agents import AgentRecord, Agents, AgentState

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
Named = tuple[AgentRecord, str]
Hostname = Annotated[str, Meta(max_length=255)]
_PLACE = re.compile(r"(?:([A-Za-z0-9_-]{0,340})~)?([1-9][0-9]{0,9})\.([1-9][0-9]{0,9})", re.ASCII)


class FleetQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which agents, by their state and what is said of them; what is left out is any. In which order."""

    state: AgentState | None = None
    name: Hostname | None = None
    version: Annotated[str, Meta(max_length=64)] | None = None
    role: Word | None = None
    labels: Labels | None = None
    rack: Word | None = None
    zone: Word | None = None
    datacenter: Word | None = None
    region: Word | None = None
    sort: Literal["id", "name", "-name", "last_seen", "-last_seen"] = "id"

    def fits(self, record: AgentRecord, name: str) -> bool:
        """Whether an agent, or the host under it, of this name is one of those."""
        traits = record.traits
        pairs = (
            (self.state, record.state),
            (self.name, name),
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


Names = Callable[[Sequence[AgentRecord]], Awaitable[Sequence[str]]]
"""What agents, or the hosts under them, are called."""


async def hostnames(records: Sequence[AgentRecord]) -> Sequence[str]:
    """As they said themselves when they opened their session."""
    return [one.hostname for one in records]


async def fleet_page(agents: Agents, caller: Caller, query: FleetQuery, names: Names = hostnames) -> FleetPage:
    """A page of the company's agents as far as the caller may use them."""
    if query.sort == "id":
        return await _by_number(query, lambda after: _all(agents, caller, after, names))
    return await _by_key(query, _all(agents, caller, None, names))


async def _by_number(query: FleetQuery, after_one: Callable[[AgentId | None], AsyncIterator[Named]]) -> FleetPage:
    found: list[AgentRecord] = []
    looked = 0
    async for one, name in after_one(None if query.cursor is None else Place.parse(query.cursor, keyed=False).agent):
        if query.fits(one, name):
            if len(found) == query.limit:
                return FleetPage(found, str(Place(found[-1].id)))
            found.append(one)
        looked += 1
        if looked == A_PAGE:
            return FleetPage(found, str(Place(one.id)))
    return FleetPage(found, None)


async def _by_key(query: FleetQuery, every: AsyncIterator[Named]) -> FleetPage:
    """MalformedError when there are too many to sort."""
    place = None if query.cursor is None else Place.parse(query.cursor, keyed=True)
    key = _KEYS[query.sort.removeprefix("-")]
    found: list[Keyed] = []
    async for one, name in every:
        if query.fits(one, name):
            found.append(Keyed(key(one, name), one.id, one))
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


async def _all(agents: Agents, caller: Caller, after: AgentId | None, names: Names) -> AsyncIterator[Named]:
    while found := await agents.agents(caller.company, after, READ, caller.agents):
        for pair in zip(found, await names(found), strict=True):
            yield pair
        after = found[-1].id


def _is_behind(its: tuple[bytes, AgentId], place: Place, sort: str) -> bool:
    there = (place.key or b"", place.agent)
    return its < there if sort.startswith("-") else its > there


def _has(labels: Mapping[str, str], wanted: str | None) -> bool:
    pairs = [] if wanted is None else [one.partition("=") for one in wanted.split(",")]
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in pairs)


_KEYS: Final[Mapping[str, Callable[[AgentRecord, str], bytes]]] = {
    "name": lambda _, name: name.encode("utf-8", "surrogatepass")[:KEY_BYTES],
    "last_seen": lambda one, _: b"%015d" % (one.last_seen or 0),
}
