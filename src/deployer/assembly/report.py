"""What a master tells the others of itself, from all its parts."""

import contextlib
import os
import socket
from pathlib import Path
from typing import Final

from deployer.assembly.core import Ground
from deployer.config import MasterSettings
from deployer.dispatch.audit import AuditTrail
from deployer.dispatch.presence import MasterPresence
from deployer.dispatch.upkeep import Upkeep
from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import epoch_ms
from deployer.kit.files import read_private, write_private
from deployer.kit.http.site import HardenedSite
from deployer.kit.lag import Lag
from deployer.kit.unhandled import UnhandledLog
from deployer.kit.version import own_version
from deployer.model.masters import MasterRecord
from deployer.protocol.ids import new_id
from deployer.stores.masters import Masters

TELL_S: Final = 5.0
WEIGH_S: Final = 0.25
ID_FILE: Final = "master-id"


class Report:
    """Told to Redis every few seconds, until `end`."""

    def __init__(self, settings: MasterSettings, ground: Ground, *, lag: Lag, upkeep: Upkeep, data_dir: Path) -> None:
        self._settings = settings
        self._ground = ground
        self._lag = lag
        self._unhandled = UnhandledLog()
        self._upkeep = upkeep
        self._started = epoch_ms(ground.wall)
        self._masters = Masters(ground.redis)
        self._id = _id_of(data_dir, ground)

    def watch(self, site: HardenedSite, trail: AuditTrail) -> None:
        """Begin."""
        presence = MasterPresence(self._masters, self._id, lambda: self._now(site, trail), self._ground.wall)
        self._unhandled.start(presence.heard)
        self._ground.meter.watch("exceptions", "Exceptions that nobody handled", lambda: self._unhandled.count)
        self._upkeep.every("record of this master", TELL_S, presence.tell)
        self._upkeep.every("weighing of Redis", WEIGH_S, presence.weigh)

    async def end(self) -> None:
        """Not be listed any more."""
        self._unhandled.stop()
        with contextlib.suppress(UnavailableError, NoSpaceError):
            await self._masters.forget(self._id)

    def _now(self, site: HardenedSite, trail: AuditTrail) -> MasterRecord:
        meter = self._ground.meter
        queues = {
            "waiting_requests": len(self._ground.hub),
            "redis_calls": self._ground.redis.waiting,
            "audit": trail.waiting,
            "connections": len(site.connections),
        }
        return MasterRecord(
            id=self._id,
            name=socket.gethostname(),
            pid=os.getpid(),
            version=own_version(),
            started=self._started,
            seen=epoch_ms(self._ground.wall),
            listens=list(self._settings.http),
            ready=not site.draining,
            requests=meter.answered,
            exceptions=self._unhandled.count,
            lag_ms=round(self._lag.worst * 1000, 1),
            queues=queues,
            routes=meter.routes(),
        )


def _id_of(data_dir: Path, ground: Ground) -> str:
    """The same after a restart: a file in the data directory."""
    path = data_dir / ID_FILE
    if not path.exists():
        write_private(path, new_id(ground.wall()).encode())
    return read_private(path).decode("ascii").strip()
