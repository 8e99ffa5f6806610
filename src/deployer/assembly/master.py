"""The whole master, started and stopped in order; and the maker of a first token."""

import contextlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.assembly.core import AWAY, Core, Ground, build_core, build_mover, build_planning
from deployer.assembly.listeners import Listeners
from deployer.assembly.metrics import Metrics, build_metrics, keep_up, measure
from deployer.assembly.receivers import Receivers
from deployer.assembly.report import Report
from deployer.assembly.site import build_site
from deployer.assembly.storage import LOCK, Storage
from deployer.assembly.webhooks import build_courier
from deployer.config import OFF, MasterSettings, proxies, thinning_schedule, webhook_networks
from deployer.dispatch.audit import MINUTE_S
from deployer.dispatch.auditexport import AuditExport
from deployer.dispatch.commandqueue import CommandMover
from deployer.dispatch.courier import Courier
from deployer.dispatch.upkeep import Upkeep
from deployer.errors import NoSpaceError, StartError, UnavailableError
from deployer.kit.clock import WallClock, sleep
from deployer.kit.files import private_dir
from deployer.kit.http.site import HardenedSite
from deployer.kit.lag import Lag
from deployer.kit.lock_posix import open_lock, try_lock
from deployer.kit.rounds import Rounds
from deployer.kit.threads import Threads
from deployer.kit.wake import Hub
from deployer.protocol.ids import new_id
from deployer.rest.meter import Meter
from deployer.stores import keys
from deployer.stores.commandqueue import CommandQueue
from deployer.stores.first_start import ensure_installation, new_admin_token
from deployer.stores.installation import Installations
from deployer.stores.lease import Lease
from deployer.stores.logs import Logs
from deployer.stores.master_key import MasterKey
from deployer.telemetry.logthinner import LogThinner
from deployer.telemetry.ownmetrics import OwnMetrics

KEY_FILE: Final = "master.key"
USUAL_DRAIN_S: Final = 5.0
ANSWER_S: Final = 10.0
BREACHES_S: Final = 2.0
SCHEDULES_S: Final = (0.4, 0.6)
"""Each master looks for what is due in a period of its own, so that it is not always the same that finds it."""
LOOK_S: Final = 0.02
THINNER_MS: Final = 10_000


class Master(Service):
    """The whole master. `failed` is called with one sentence when it cannot start."""

    log = Logger()

    def __init__(self, settings: MasterSettings, reactor: Any, wall: WallClock, failed: Callable[[str], None]) -> None:
        self._settings = settings
        self._reactor = reactor
        self._wall = wall
        self._failed = failed
        self._hub = Hub(reactor)
        self._storage: Storage | None = None
        self._upkeep: Upkeep | None = None
        self._mover: CommandMover | None = None
        self._rounds: list[Rounds] = []
        self._courier: Courier | None = None
        self._metrics: Metrics | None = None
        self._thinner: LogThinner | None = None
        self._site: HardenedSite | None = None
        self._meter = Meter(reactor)
        self._lag = Lag(reactor)
        self._report: Report | None = None
        self._core: Core | None = None
        self._listeners: Listeners | None = None
        self._receivers: Receivers | None = None
        self._lock: int | None = None
        self._starting: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin to start; listeners open last."""
        Service.startService(self)
        self._starting = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """End in the reverse order."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            await self._start_parts()
        except StartError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 (whatever it is, the operator gets one line and the log the rest)
            self.log.failure("the master cannot start")
            self._failed(f"the master cannot start: {error}")

    async def _start_parts(self) -> None:
        data_dir = _data_dir(self._settings)
        self._lock = _hold(data_dir)
        key = _master_key(self._settings, data_dir)
        self._storage = storage = Storage(self._settings, self._reactor, self._hub)
        await storage.start()
        self._listeners = listeners = Listeners(self._settings, key, self._reactor, self._wall)
        pin = listeners.tls.pin
        installation = await storage.patiently(
            lambda: ensure_installation(storage.redis, key, data_dir, self._wall, pin)
        )
        self._upkeep = Upkeep(self._storage.redis, self._reactor, self._wall)
        MultiService.startService(self._upkeep)
        self._metrics = metrics = build_metrics(self._settings, storage.redis, self._reactor, self._wall)
        await storage.patiently(metrics.keeper.look)
        ground = Ground(
            redis=self._storage.redis,
            key=key,
            installation=installation,
            hub=self._hub,
            clock=self._reactor,
            log_share=self._settings.log_share_bytes,
            proxies=proxies(self._settings),
            meter=self._meter,
            wall=self._wall,
            memory=self._upkeep.memory,
            tls=listeners.tls,
            waiting_room=self._settings.waiting_room,
            webhook_networks=webhook_networks(self._settings),
            source=metrics.source,
            store=metrics.keep,
            posted=metrics.keep_posted,
            metric_trouble=lambda: metrics.keeper.trouble,
            metrics_wait=lambda: metrics.keeper.waits,
        )
        core = build_core(ground)
        self._core = core
        self._start_mover(ground, core)
        self._goes_on(build_planning(core, self._hub))
        self._courier = courier = build_courier(ground)
        self._goes_on(Rounds("telling webhooks", courier.round, ground.clock, AWAY))
        self._keep_audit(ground, core)
        self._keep_metrics(ground, metrics, self._upkeep)
        self._thin_logs(ground)
        self._upkeep.every("watch over thresholds", BREACHES_S, core.watch.round)
        self._upkeep.every("schedules", random.uniform(*SCHEDULES_S), core.scheduler.round)  # noqa: S311 (chance, no secret)
        self._site = site = build_site(ground, core)
        self._measure(site, ground)
        self._meter.watch_counts(
            "schedule_slots", "What became of slots of schedules", "outcome", lambda: core.scheduler.counts
        )
        refused = listeners.reasons
        self._meter.watch(
            "client_certificates_refused", "Certificates of agents that were not taken", lambda: refused.count
        )
        self._report = Report(self._settings, ground, lag=self._lag, upkeep=self._upkeep, data_dir=data_dir)
        self._report.watch(site, core.trail)
        self._receivers = receivers = Receivers(self._settings, ground, metrics.shelf.plans.step)
        await receivers.open()
        await listeners.open(site)

    def _measure(self, site: HardenedSite, ground: Ground) -> None:
        """Show what this master knows of itself."""
        self._lag.startService()
        meter = self._meter
        meter.watch(
            "reactor_lag_seconds", "By how much the reactor was late, the worst of late", lambda: self._lag.worst
        )
        meter.watch("http_connections", "Open connections", lambda: len(site.connections))
        meter.watch("waiting_requests", "Requests that wait for something to happen", lambda: len(self._hub))
        if (upkeep := self._upkeep) is not None:
            for state in ("online", "overdue"):
                meter.watch(f"agents_{state}", f"Agents that are {state}", lambda state=state: upkeep.present[state])  # type: ignore[misc]  # a default
        meter.watch("redis_connected", "Whether Redis answers", lambda: float(ground.redis.connected))
        meter.watch("redis_memory_ratio", "The share of Redis' memory in use", ground.memory)
        meter.watch_counts("http_refused", "Requests refused before a route", "code", lambda: site.refusals.counts)
        if (mover := self._mover) is not None:
            meter.watch_counts(
                "command_queue",
                "Entries of cmds_queue",
                "what",
                lambda: {"moved": mover.moved, "refused": mover.refused, "set_aside": mover.set_aside},
            )

    def _keep_audit(self, ground: Ground, core: Core) -> None:
        """Note what was refused to nobody known, and let go of what is too old."""
        if self._upkeep is not None:
            installations, folder = Installations(ground.redis), _data_dir(self._settings)
            export = AuditExport(core.audits, installations, folder, Threads(self._reactor), owner=new_id(self._wall()))
            self._upkeep.every("audit", MINUTE_S, core.trail.tick)
            self._upkeep.every("export of the audit log", MINUTE_S, export.round)

    def _keep_metrics(self, ground: Ground, metrics: Metrics, upkeep: Upkeep) -> None:
        """Put numbers where they belong, our own too."""
        step, company = metrics.shelf.plans.step, ground.installation.company
        own = OwnMetrics(metrics.shelf.points, company, self._meter.numbers, step, self._wall)
        keep_up(metrics, self._settings, upkeep, own, ground.levels)
        measure(metrics, self._settings, self._meter, upkeep)
        if self._settings.metrics != OFF:
            self._goes_on(Rounds("storing numbers", metrics.keeper.round, ground.clock, AWAY))

    def _thin_logs(self, ground: Ground) -> None:
        """Logs keep within their bytes."""
        lease = Lease(ground.redis, keys.THINNER, new_id(self._wall()), THINNER_MS)
        schedule, most = thinning_schedule(self._settings), self._settings.log_bytes_per_company
        thinner = LogThinner(Logs(ground.redis), lease, Installations(ground.redis).companies, schedule, most)
        self._thinner = thinner
        self._goes_on(Rounds("thinning logs", thinner.round, ground.clock, AWAY))
        self._meter.watch_counts(
            "log_thinned",
            "What went of logs for their age or for room",
            "what",
            lambda: {"messages": thinner.left_out, "bytes": thinner.bytes},
        )

    async def _drain(self) -> None:
        """Be not ready for a while, let nobody wait, answer what has been asked."""
        usual = USUAL_DRAIN_S if self._settings.redis is not None else 0.0
        self._hub.close()
        if self._site is not None:
            self._site.drain()
            await sleep(self._reactor, usual if self._settings.drain_s is None else self._settings.drain_s)
        if self._listeners is not None:
            await self._listeners.close()
        end = self._reactor.seconds() + ANSWER_S
        while self._site is not None and len(self._site.connections) and self._reactor.seconds() < end:
            await sleep(self._reactor, LOOK_S)

    async def _finish_audit(self, core: Core) -> None:
        with contextlib.suppress(UnavailableError, NoSpaceError):
            await core.trail.tick()
        await core.trail.stop()

    def _start_mover(self, ground: Ground, core: Core) -> None:
        """On with our own Redis, to which nobody else gets, else only where it is asked for."""
        wanted = self._settings.redis_commands
        if wanted is None:
            wanted = self._settings.redis is None
        elif wanted and self._settings.redis is not None:
            self.log.warn("\x1b[31mwho may write to the configured Redis may run commands: redis_commands is on\x1b[0m")
        if wanted and self._storage is not None:
            queue = CommandQueue(ground.redis, self._storage.ear, ground.installation.company)
            self._mover = build_mover(core, queue, Installations(ground.redis))
            self._goes_on(Rounds("taking commands from their queues", self._mover.round, ground.clock, AWAY))

    def _goes_on(self, rounds: Rounds) -> None:
        self._rounds.append(rounds)
        rounds.startService()

    async def _stop(self) -> None:
        for rounds in self._rounds:
            await rounds.stopService()
        if self._courier is not None:
            await self._courier.stop()
        await self._drain()
        await self._stop_receiving()
        if self._core is not None:
            await self._finish_audit(self._core)
        if self._report is not None:
            await self._report.end()
        if self._lag.running:
            self._lag.stopService()
        if self._upkeep is not None:
            await MultiService.stopService(self._upkeep)
        if self._storage is not None:
            await self._storage.stop()
        if self._lock is not None:
            os.close(self._lock)

    async def _stop_receiving(self) -> None:
        """What machines have sent is stored, and others may store the rest."""
        if self._thinner is not None:
            with contextlib.suppress(UnavailableError, NoSpaceError):
                await self._thinner.let_go()
        if self._receivers is not None:
            await self._receivers.close()
        if self._metrics is not None:
            await self._metrics.stop()


class TokenMaker(Service):
    """`--new-admin-token`: makes one for whoever has the masters' key, and ends."""

    def __init__(self, settings: MasterSettings, reactor: Any, wall: WallClock, failed: Callable[[str], None]) -> None:
        del wall  # the form of Master
        self._settings = settings
        self._reactor = reactor
        self._failed = failed

    def startService(self) -> None:
        """Do it."""
        Service.startService(self)
        Deferred.fromCoroutine(self._make()).addErrback(lambda failure: self._failed(failure.getErrorMessage()))

    async def _make(self) -> None:
        data_dir = _data_dir(self._settings)
        key = _master_key(self._settings, data_dir)
        storage = Storage(self._settings, self._reactor, Hub(self._reactor))
        await storage.attach_or_start(data_dir)
        path = await new_admin_token(storage.redis, key, data_dir)
        await storage.stop()
        sys.stdout.write(f"{path}\n")
        self._reactor.stop()


def _data_dir(settings: MasterSettings) -> Path:
    return private_dir(Path(settings.data_dir).resolve())


def _hold(data_dir: Path) -> int:
    lock = open_lock(data_dir / LOCK)
    if not try_lock(lock):
        os.close(lock)
        raise StartError(f"another master runs in {data_dir}: stop it, or give this one a --data-dir of its own")
    return lock


def _master_key(settings: MasterSettings, data_dir: Path) -> MasterKey:
    if settings.key_file is not None:
        return MasterKey.load(Path(settings.key_file))
    return MasterKey.load_or_make(data_dir / KEY_FILE)
