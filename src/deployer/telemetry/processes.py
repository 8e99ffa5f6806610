"""What runs on agents, on its way to the store and to the monitors."""

from collections.abc import Awaitable, Callable

from deployer.kit.clock import WallClock, epoch_ms
from deployer.protocol.processes import ProcessList
from deployer.stores.agents import Session
from deployer.stores.processes import Processes

Watch = Callable[[Session, ProcessList], Awaitable[None]]
"""Compares what runs on an agent with what its company watches."""


class ProcessIntake:
    """Keeps lists; counts how often they were `told`."""

    def __init__(self, processes: Processes, watch: Watch, wall: WallClock) -> None:
        self._processes = processes
        self._watch = watch
        self._wall = wall
        self.told = 0

    async def store(self, session: Session, listed: ProcessList) -> None:
        """Keep one, and look whether it goes over a threshold."""
        await self._processes.keep(session, listed, epoch_ms(self._wall))
        self.told += 1
        await self._watch(session, listed)
