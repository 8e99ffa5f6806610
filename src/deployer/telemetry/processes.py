"""What runs on agents, on its way to the store and to the monitors."""

from collections.abc import Awaitable, Callable
from typing import Final

from deployer.errors import TooManyError
from deployer.kit.allowance import Allowance
from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.model import limits
from deployer.protocol.processes import ProcessList
from deployer.stores.agents import Session
from deployer.stores.processes import Processes

LISTS: Final = 30
LISTS_S: Final = 10.0
"""So many lists of one agent are taken in so many seconds by one master; ours posts one a second at most."""

Watch = Callable[[Session, ProcessList], Awaitable[None]]
"""Compares what runs on an agent with what its company watches."""


class ProcessIntake:
    """Keeps lists; counts how often they were `told`, and `refused` since they came too fast."""

    def __init__(self, processes: Processes, watch: Watch, clock: Clock, wall: WallClock) -> None:
        self._quota = Allowance(LISTS, LISTS_S, clock, most=limits.AGENTS)
        self.refused = 0
        self._processes = processes
        self._watch = watch
        self._wall = wall
        self.told = 0

    async def store(self, session: Session, listed: ProcessList) -> None:
        """Keep one, and look whether it goes over a threshold. TooManyError while they come too fast."""
        agent = str(session.agent)
        if not self._quota.spend(agent):
            self.refused += 1
            raise TooManyError(
                f"more than {LISTS} lists of processes in {LISTS_S:g} s: wait", self._quota.wait_s(agent)
            )
        await self._processes.keep(session, listed, epoch_ms(self._wall))
        self.told += 1
        await self._watch(session, listed)
