"""On which of the agents that a target means the tasks of a job are. Pure."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

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
