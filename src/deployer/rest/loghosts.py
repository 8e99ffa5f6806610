"""Names of hosts in the logs: which agents a name means, and what the hosts of agents are called."""

from collections.abc import Iterable
from typing import Final

from deployer.kit.clock import Clock
from deployer.model.access import Caller
from deployer.protocol.ids import AgentId
from deployer.stores.agents import AgentRecord, Agents

READ: Final = 500
KNOWN: Final = 100_000
FRESH_S: Final = 60.0


class LogHosts:
    """Knows names; they are looked up again after a minute, and the old ones serve until then."""

    def __init__(self, agents: Agents, clock: Clock) -> None:
        self._agents = agents
        self._clock = clock
        self._names: dict[tuple[str, str], tuple[str, float]] = {}
        self._warmed: dict[str, float] = {}

    async def meant(self, caller: Caller, host: str) -> frozenset[str]:
        """The agents that a host's name or `gid:nid` means, among those that the caller may use."""
        try:
            agent = AgentId.parse(host)
        except ValueError:
            return await self._named(caller, host)
        return frozenset({str(agent)} if caller.sees(agent) else ())

    async def _named(self, caller: Caller, host: str) -> frozenset[str]:
        found, after = [], None
        while some := await self._agents.agents(caller.company, after, READ, caller.agents):
            found += [str(one.id) for one in some if one.hostname.casefold() == host.casefold()]
            after = some[-1].id
        return frozenset(found)

    async def is_online(self, company: str, agent: AgentId) -> bool:
        """Whether an agent answers now."""
        return any(one.state == "online" for one in await self._agents.those(company, [agent]))

    async def warm(self, company: str) -> None:
        """Know all agents of a company; looked at once a minute, whoever asks."""
        now, after = self._clock.seconds(), None
        if now - self._warmed.get(company, now - 2 * FRESH_S) < FRESH_S:
            return
        while some := await self._agents.agents(company, after, READ):
            self._note(company, some)
            after = some[-1].id
        self._warmed[company] = now

    def known(self, company: str, agent: str) -> str:
        """The name of an agent's host, as far as it is known now."""
        return self._names.get((company, agent), ("", 0.0))[0]

    async def of(self, company: str, agents: Iterable[str]) -> dict[str, str]:
        """The names of these agents' hosts."""
        wanted = {one for one in agents if one}
        old = self._clock.seconds() - FRESH_S
        stale = [AgentId.parse(one) for one in wanted if self._names.get((company, one), ("", old))[1] <= old]
        if stale:
            self._note(company, await self._agents.those(company, stale))
        return {one: self._names[company, one][0] for one in wanted if (company, one) in self._names}

    def _note(self, company: str, records: Iterable[AgentRecord]) -> None:
        if len(self._names) > KNOWN:
            self._names.clear()
            self._warmed.clear()
        now = self._clock.seconds()
        self._names.update({(company, str(one.id)): (one.hostname, now) for one in records})
