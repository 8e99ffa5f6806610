"""What `deployer top` looks at: all agents, what their hosts and processes consume, again and again.

The last view stays while no master answers. In a large fleet not every host is asked each time: those go first whose
numbers are the oldest.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from deployer.cli import exits
from deployer.cli.trends import Trends
from deployer.cli.usage import HostUse
from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError, Unreachable
from deployer.client.records import Agent, AgentStats, Process

MAX_HOSTS: Final = 1000
MAX_PROCESSES: Final = 5000
ASKED_AT_ONCE: Final = 50
SILENT: Final = frozenset({"offline", "pending", "revoked"})
BUSY: Final = 429
BROKEN: Final = 500


@dataclass(frozen=True, slots=True)
class View:
    """What was seen at `at` (epoch seconds, 0: nothing yet); `trouble`: why it could not be seen again since.

    `cut`: there are more hosts or processes than are looked at.
    """

    hosts: Sequence[HostUse] = ()
    processes: Sequence[Process] = ()
    at: float = 0.0
    cut: bool = False
    trouble: ClientError | None = None


class Watch:
    """Looks through one client."""

    def __init__(self, client: Client, wall: Callable[[], float] = time.time) -> None:
        self._client = client
        self._wall = wall
        self._view = View()
        self._stats: dict[tuple[int, int], AgentStats | None] = {}
        self._asked: dict[tuple[int, int], int] = {}
        self._round = 0
        self._trends = Trends(client, wall)

    def look(self) -> View:
        """The view of now; ApiError when this user may not look."""
        self._round += 1
        try:
            self._view = self._seen()
        except ClientError as error:
            if not _may_pass(error):
                raise
            self._view = replace(self._view, trouble=error)
        return self._view

    def _seen(self) -> View:
        agents = list(islice(self._client.agents(), MAX_HOSTS + 1))
        processes = list(islice(self._client.processes(), MAX_PROCESSES + 1))
        cut = len(agents) > MAX_HOSTS or len(processes) > MAX_PROCESSES
        known = {_number(agent) for agent in agents}
        self._stats = {number: stats for number, stats in self._stats.items() if number in known}
        self._asked = {number: when for number, when in self._asked.items() if number in known}
        self._ask([agent for agent in agents if agent.state not in SILENT])
        self._trends.look([agent for agent in agents if agent.state not in SILENT])
        hosts = [
            HostUse(agent, self._stats.get(_number(agent)), self._trends.of(agent)) for agent in agents[:MAX_HOSTS]
        ]
        return View(hosts, processes[:MAX_PROCESSES], self._wall(), cut)

    def _ask(self, agents: list[Agent]) -> None:
        for agent in sorted(agents, key=lambda one: self._asked.get(_number(one), 0))[:ASKED_AT_ONCE]:
            self._asked[_number(agent)] = self._round
            self._stats[_number(agent)] = self._stats_of(agent)

    def _stats_of(self, agent: Agent) -> AgentStats | None:
        try:
            return self._client.agent_stats(f"{agent.gid}:{agent.nid}")
        except ApiError as error:
            if exits.of_error(error) != exits.NOT_FOUND:
                raise
            return None  # it has gone meanwhile


def _number(agent: Agent) -> tuple[int, int]:
    return agent.gid, agent.nid


def _may_pass(error: ClientError) -> bool:
    """Whether it is worth looking again."""
    return isinstance(error, Unreachable) or (
        isinstance(error, ApiError) and (error.status == BUSY or error.status >= BROKEN)
    )
