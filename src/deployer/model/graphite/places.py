"""Series of agents put together by where their hosts stand or what these are for: one series a rack, zone or role."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, Literal

from deployer.model.graphite.aggregates import aggregate_of
from deployer.model.graphite.functions.combine import combined
from deployer.model.graphite.lines import Line, Lines
from deployer.protocol.ids import AgentId
from deployer.protocol.traits import Traits

GroupBy = Literal["rack", "zone", "datacenter", "region", "role", "agent"]
GroupHow = Literal["sum", "average", "min", "max"]
AGENTS: Final = "agents"
OTHERS: Final = "-"
"""What a series belongs to that is of no agent, or of one of which it is not known."""


def agent_of(path: str) -> AgentId | None:
    """The agent whose series this is: `agents.<gid>.<nid>.…`."""
    parts = path.partition(";")[0].split(".", 3)
    if len(parts) < 4 or parts[0] != AGENTS or not all(part.isascii() and part.isdecimal() for part in parts[1:3]):  # noqa: PLR2004
        return None
    return AgentId(int(parts[1]), int(parts[2]))


def grouped(lines: Sequence[Line], traits: Mapping[AgentId, Traits], by: GroupBy, how: GroupHow) -> Lines:
    """One series a group, by the name of the group; an agent of several roles counts in each."""
    groups: dict[str, Lines] = {}
    for line in lines:
        for group in _groups(agent_of(line.tags.get("name", line.path)), traits, by):
            groups.setdefault(group, []).append(line)
    return [combined(its, group, aggregate_of(how), how) for group, its in sorted(groups.items())]


def _groups(agent: AgentId | None, traits: Mapping[AgentId, Traits], by: GroupBy) -> Sequence[str]:
    its = None if agent is None else traits.get(agent)
    if agent is None or its is None:
        return (OTHERS,)
    if by == "agent":
        return (str(agent),)
    if by == "role":
        return list(its.roles or ()) or (OTHERS,)
    return (getattr(its, by) or OTHERS,)


def agents_among(targets: Sequence[Sequence[Line]]) -> list[AgentId]:
    """The agents whose series these are."""
    found = (agent_of(line.tags.get("name", line.path)) for line in chain.from_iterable(targets))
    return sorted({agent for agent in found if agent is not None})
