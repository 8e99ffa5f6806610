"""On which of the agents that a target means the tasks of a job are. Pure."""

import heapq
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from deployer.model.plans import Requires
from deployer.protocol.ids import AgentId

Fanout = Literal["all", "one"] | int


class Place(Struct, frozen=True):
    """An agent that may be chosen; `load`: how many tasks it has to do."""

    agent: AgentId
    online: bool
    load: int = 0


def placed(places: Iterable[Place], fanout: Fanout) -> Sequence[AgentId]:
    """All of them; or one, or so many (at most all): those that are online first, then those with the least to do."""
    if fanout == "all":
        return sorted(one.agent for one in places)
    best = sorted(places, key=lambda one: (not one.online, one.load, one.agent))
    return sorted(one.agent for one in best[: 1 if fanout == "one" else fanout])


class Seat(Struct, frozen=True, kw_only=True):
    """An agent that tasks may come to: what it has to do and holds, and its limits (none: any).

    `ram` in bytes, `load` in thousandths of a core; `gone`: it is revoked.
    """

    agent: AgentId
    online: bool = True
    gone: bool = False
    jobs: int = 0
    ram: int = 0
    load: int = 0
    max_jobs: int | None = None
    max_ram: int | None = None
    max_load: int | None = None

    def has_room(self, wanted: Requires) -> bool:
        """Whether one more task of this kind fits."""
        pairs = (
            (self.jobs + 1, self.max_jobs),
            (self.ram + wanted.ram, self.max_ram if wanted.ram else None),
            (self.load + wanted.thousandths, self.max_load if wanted.load else None),
        )
        return not self.gone and all(limit is None or value <= limit for value, limit in pairs)

    def taken(self, wanted: Requires) -> "Seat":
        """The same with one task more."""
        more = {"jobs": self.jobs + 1, "ram": self.ram + wanted.ram, "load": self.load + wanted.thousandths}
        return msgspec.structs.replace(self, **more)


def seated(
    seats: Iterable[Seat], free: frozenset[AgentId], wanted: Iterable[AgentId | None], requires: Requires
) -> list[Seat | None]:
    """A seat for each task: that of its agent when it is named, else the best of the `free` ones; None without room.

    The best are those that are online, then those with the least to do. One that is gone has room for all who name it:
    they end there.
    """
    known = {one.agent: one for one in seats}
    line = [(_rank(one), one.agent) for one in known.values() if one.agent in free and not one.gone]
    heapq.heapify(line)
    found: list[Seat | None] = []
    for name in wanted:
        if name is not None:
            seat = known.get(name, Seat(agent=name, gone=True))
            found.append(seat if seat.gone or seat.has_room(requires) else None)
            if not seat.gone and found[-1] is not None:
                known[name] = seat.taken(requires)
        else:
            found.append(_best(line, known, requires))
    return found


def _best(line: list[tuple[tuple[bool, int], AgentId]], known: dict[AgentId, Seat], requires: Requires) -> Seat | None:
    """The first of the line with room, behind which it stands with one task more; who has none leaves the line."""
    while line:
        rank, name = heapq.heappop(line)
        seat = known[name]
        if rank != _rank(seat):
            heapq.heappush(line, (_rank(seat), name))
        elif seat.has_room(requires):
            known[name] = seat.taken(requires)
            heapq.heappush(line, (_rank(known[name]), name))
            return seat
    return None


def _rank(seat: Seat) -> tuple[bool, int]:
    return not seat.online, seat.jobs
