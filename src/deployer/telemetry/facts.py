"""What agents say of their hosts, on its way to the store."""

from twisted.logger import Logger

from deployer.kit.clock import WallClock, epoch_ms
from deployer.protocol.facts import HostFacts
from deployer.stores.agents import Session
from deployer.stores.hosts import Hosts


class FactIntake:
    """Keeps facts; counts how often they were `told`, and how many versions were `made` of it."""

    log = Logger()

    def __init__(self, hosts: Hosts, wall: WallClock) -> None:
        self._hosts = hosts
        self._wall = wall
        self.told = 0
        self.made = 0

    async def store(self, session: Session, facts: HostFacts) -> int:
        """Keep them; the number of the version that they are."""
        kept = await self._hosts.keep(session, facts, epoch_ms(self._wall))
        self.told += 1
        if kept.made is not None:
            self.made += 1
            self.log.info(
                "host {agent} is described by version {number}: {count} changes",
                agent=str(session.agent),
                number=kept.number,
                count=len(kept.made.changes) + kept.made.more,
            )
        return kept.number
