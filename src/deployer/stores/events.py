"""A company's events: what has become of jobs, tasks, agents and the rest, in one stream."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from deployer.stores import keys
from deployer.stores.redis import Redis

MOST: Final = 100_000
"""About so many are kept."""
START: Final = "0-0"


class Event(Struct, frozen=True):
    """What has happened: `type` as `task.state`, to whom, which state it has now. `id`: its place in the stream."""

    id: str
    type: str
    subject: str
    state: str

    @property
    def at(self) -> int:
        """When it was written, in epoch ms on Redis' clock."""
        return int(self.id.partition("-")[0])


class Page(Struct, frozen=True):
    """Events among so many entries, and the place of the last of these."""

    events: Sequence[Event]
    entries: int
    place: str


class Events:
    """Reads them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def after(self, company: str, place: str, count: int) -> Page:
        """What is among the next `count` entries behind a place, oldest first."""
        return await self._page(company, place, "XRANGE", f"({place}", "+", count)

    async def before(self, company: str, place: str, count: int) -> Page:
        """What is among the `count` entries in front of a place (empty: the end), newest first."""
        return await self._page(company, place, "XREVRANGE", f"({place}" if place else "+", "-", count)

    async def _page(self, company: str, place: str, command: str, first: str, last: str, *count: int) -> Page:
        key = keys.events(company)
        found = await self._redis.read(command, key, first, last, "COUNT", *count)
        read = self._redis.damage.read
        events = [one for entry in found if (one := read(key, _event, entry)) is not None]
        return Page(events, len(found), found[-1][0].decode() if found else place)

    async def last(self, company: str) -> str:
        """The place of the newest one."""
        found = await self._redis.read("XREVRANGE", keys.events(company), "+", "-", "COUNT", 1)
        return found[0][0].decode() if found else START

    async def is_gap(self, company: str, place: str) -> bool:
        """Whether events behind a place may have gone already."""
        key = keys.events(company)
        length, first = await self._redis.reads([("XLEN", key), ("XRANGE", key, "-", "+", "COUNT", 1)])
        return bool(length and length >= MOST and first) and order(first[0][0].decode()) > order(place)


def order(place: str) -> tuple[int, int]:
    """Places in the order of time."""
    ms, _, number = place.partition("-")
    return int(ms), int(number)


def _event(entry: Any) -> Event:
    id_, flat = entry
    fields = dict(zip(flat[::2], flat[1::2], strict=False))
    values = [fields[name].decode() for name in (b"type", b"subject", b"state") if name in fields]
    if len(values) != len(Event.__struct_fields__) - 1:
        raise ValueError("an event has a type, a subject and a state")
    return Event(id_.decode(), *values)
