"""What runs and what it consumes: sampled, summed, listed, kept until the master has it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from deployer.kit.clock import WallClock
from deployer.kit.periodic import Periodic
from deployer_agent.commands.listing import Listing
from deployer_agent.commands.metering import TICK_S, Metering, Sources
from deployer_agent.config import AgentSettings
from deployer_agent.outbox.newest import NewestOutbox
from deployer_agent.outbox.spool import Spool
from deployer_agent.outbox.stats import StatsOutbox
from deployer_agent.processes.manager import Manager
from deployer_agent.stats.host_sampler import HostSampler

STATISTICS_FILE: Final = "statistics.db"


class Measuring:
    """`statistics` and `listed` are what goes to the master, `periodic` what is to run meanwhile."""

    def __init__(
        self, settings: AgentSettings, manager: Manager, reactor: Any, wall: WallClock, may_write: Callable[[], bool]
    ) -> None:
        path = Path(settings.data_dir) / STATISTICS_FILE
        self.spool = Spool.open(path, wall, reactor.callFromThread)
        self.statistics = StatsOutbox(self.spool, settings.stats_bytes, may_write)
        self.listed = NewestOutbox("the list of processes", reactor)
        self._listing = Listing(manager.living, self._name, self.listed.offer)
        self.metering = Metering(
            Sources(manager.seen, lambda: [os.getpid()], self.statistics.add, self._listing.sampled),
            HostSampler(reactor),
            reactor,
            wall,
            settings.stats_interval,
        )
        self.periodic = (
            Periodic("statistics", TICK_S, self.metering.tick, reactor),
            Periodic("listing processes", TICK_S, self._listing.tick, reactor),
        )

    def _name(self, task: str) -> tuple[str, str]:
        return self.metering.name(task)
