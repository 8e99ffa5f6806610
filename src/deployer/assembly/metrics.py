"""Where this master keeps numbers over time, and what it does for them."""

import contextlib
import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from deployer.config import FILES, OFF, MasterSettings, influxdb, storage_plans
from deployer.dispatch.upkeep import Upkeep
from deployer.errors import NoSpaceError, NotFoundError, UnavailableError
from deployer.kit.clock import WallClock
from deployer.kit.threads import Threads
from deployer.model.levelcounts import LevelCounts
from deployer.model.series import Datum, Source
from deployer.model.storage import Plans
from deployer.rest.meter import Meter
from deployer.stores.installation import Installations
from deployer.stores.metrics.index import Index
from deployer.stores.metrics.influx import InfluxStore
from deployer.stores.metrics.store import MetricStore
from deployer.stores.metrics.turn import Turn
from deployer.stores.metrics.whisper import WhisperStore
from deployer.stores.points import Points
from deployer.stores.redis import Redis
from deployer.telemetry.metrickeeper import MetricKeeper, Shelf
from deployer.telemetry.metricsource import MetricSource, NoMetrics
from deployer.telemetry.ownmetrics import OwnMetrics
from deployer.telemetry.readings import NoSource

FOLDER: Final = "metrics"
LOOK_S: Final = 5.0
REAP_S: Final = 3600.0
SIZES_S: Final = 10.0


class Metrics(Struct, frozen=True):
    """The store, who fills it, where it is read."""

    shelf: Shelf
    keeper: MetricKeeper
    source: Source

    async def keep(self, company: str, data: Sequence[Datum]) -> None:
        """Take numbers of what is no agent; without a store they are let go."""
        if not isinstance(self.shelf.store, NoMetrics):
            await self.shelf.points.spool(company, data)

    async def keep_posted(self, company: str, data: Sequence[Datum]) -> None:
        """The same of what is posted; NotFoundError without a store, since there is somebody to be told."""
        if isinstance(self.shelf.store, NoMetrics):
            raise NotFoundError("no metrics are kept here: the setting `metrics` is off")
        await self.keep(company, data)

    async def stop(self) -> None:
        """Another master may go on."""
        with contextlib.suppress(UnavailableError, NoSpaceError):
            await self.keeper.let_go()
        await self.shelf.store.stop()


def build_metrics(settings: MasterSettings, redis: Redis, reactor: Any, wall: WallClock) -> Metrics:
    """As `metrics` says; StartError when it says nothing that can be."""
    plans, index = storage_plans(settings), Index(redis, settings.series_per_company)
    store = _store(settings, plans, reactor, wall)
    shelf = Shelf(Points(redis), index, store, plans, settings.metrics == FILES)
    turn = Turn(redis, _owner(Path(settings.data_dir).resolve()))
    keeper = MetricKeeper(shelf, turn, Installations(redis).companies, wall)
    return Metrics(shelf, keeper, NoSource() if settings.metrics == OFF else MetricSource(index, store))


def _store(settings: MasterSettings, plans: Plans, reactor: Any, wall: WallClock) -> MetricStore:
    address = influxdb(settings)
    if address is not None:
        return InfluxStore(address, plans, reactor)
    if settings.metrics == OFF:
        return NoMetrics()
    folder = Path(settings.data_dir).resolve() / FOLDER
    return WhisperStore(folder, plans, Threads(reactor), wall)


def _owner(data_dir: Path) -> str:
    """The same for each master that runs in this directory: there is one at a time."""
    return hashlib.sha256(f"{socket.gethostname()}:{data_dir}".encode()).hexdigest()[:32]


class Sizes:
    """How much there is, as last looked at."""

    def __init__(self, keeper: MetricKeeper) -> None:
        self._keeper = keeper
        self.series = 0
        self.bytes = 0

    async def look(self) -> None:
        """Look again."""
        self.series, self.bytes = await self._keeper.sizes()


def keep_up(metrics: Metrics, settings: MasterSettings, upkeep: Upkeep, own: OwnMetrics, levels: LevelCounts) -> None:
    """What is done from time to time."""
    keeper, step = metrics.keeper, float(metrics.shelf.plans.step)

    async def count_levels() -> None:
        for company, data in levels.take(own.slot()).items():
            await metrics.keep(company, data)

    upkeep.every("who keeps metric files", LOOK_S, keeper.look)
    if settings.metrics != OFF:
        upkeep.every("numbers of this master", step, own.tick)
        upkeep.every("levels of messages", step, count_levels)
        upkeep.every("forgetting series", REAP_S, lambda: keeper.reap(settings.series_days))


def measure(metrics: Metrics, settings: MasterSettings, meter: Meter, upkeep: Upkeep) -> None:
    """Show how much there is, and how much it may become."""
    keeper, shelf, sizes = metrics.keeper, metrics.shelf, Sizes(metrics.keeper)
    upkeep.every("sizes of metrics", SIZES_S, sizes.look)
    meter.watch("metric_series", "Series of all companies", lambda: sizes.series)
    meter.watch("metric_bytes", "Bytes that their Whisper files have", lambda: sizes.bytes)
    most = settings.series_per_company * shelf.plans.largest
    meter.watch("metric_bytes_most", "Bytes that the Whisper files of one company may have", lambda: most)
    meter.watch_counts(
        "metric_points",
        "What became of numbers on their way into the metric store",
        "what",
        lambda: {
            "stored": keeper.stored,
            "strange": keeper.strange,
            "failures": keeper.failures,
            "overflow": shelf.index.overflow,
            "refused": getattr(shelf.store, "refused", 0),
            "broken_files": getattr(shelf.store, "broken", 0),
        },
    )
