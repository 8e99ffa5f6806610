"""What machines send to this master: every socket of syslog, statsd and Graphite, and where it goes."""

from collections.abc import Mapping
from typing import Final

from deployer.assembly.core import Ground
from deployer.config import MasterSettings, receivers, source_networks
from deployer.errors import StartError
from deployer.ingest import notices
from deployer.ingest.buffer import Buffer
from deployer.ingest.graphite import GraphiteTaker
from deployer.ingest.listening import Kind, Listening
from deployer.ingest.notices import Notices
from deployer.ingest.points import PointBuffer
from deployer.ingest.port import Taker, UdpPort
from deployer.ingest.sources import Sources
from deployer.ingest.statsd import STEP_S, StatsdTaker
from deployer.ingest.stream import TcpPort
from deployer.ingest.streams import Streams
from deployer.ingest.syslog import DOMAIN, SyslogTaker
from deployer.ingest.tenants import Tenants
from deployer.model import limits
from deployer.model.levelcounts import SYSLOG
from deployer.stores.companies import Companies
from deployer.stores.logs import Logs

NOTICE_BYTES: Final = 8 * 1024 * 1024


class Receivers:
    """All of them, from `open` to `close`."""

    def __init__(self, settings: MasterSettings, ground: Ground, step: int = STEP_S) -> None:
        clock, wall, default = ground.clock, ground.wall, ground.installation.company
        append = Logs(ground.redis).append
        self._settings = settings
        self._ground = ground
        self._companies = Companies(ground.redis)
        self._ports: list[tuple[Listening, UdpPort | TcpPort]] = []
        self._messages = Buffer(append, clock, is_full=self._is_full)
        self._streams = Streams(DOMAIN, default)
        self._syslog = SyslogTaker(
            self._messages, self._streams, lambda company, level: ground.levels.add(company, SYSLOG, level)
        )
        self._notices = Buffer(append, clock, NOTICE_BYTES, self._is_full)
        self._points = PointBuffer(ground.store, clock)
        told = Notices(self._notices, Streams(notices.DOMAIN, default))
        self._statsd = StatsdTaker(self._points, told, clock, wall, step)
        self._graphite = GraphiteTaker(self._points)

    @property
    def places(self) -> list[tuple[str, int]]:
        """Kind and port of each socket, in the order of the settings."""
        return [(one.kind, port.port) for one, port in self._ports]

    async def open(self) -> None:
        """Listen, or StartError."""
        asked = receivers(self._settings)
        tenants = Tenants({net: await self._company(name) for net, name in source_networks(self._settings).items()})
        for one in asked:
            await self._open(one, tenants)
        for part in (self._messages, self._notices, self._points, self._statsd):
            part.start()
        self._show({one.kind for one in asked})

    async def close(self) -> None:
        """Take what has come, store it, take no more."""
        for _, port in self._ports:
            await port.close()
        for part in (self._statsd, self._points, self._notices, self._messages):
            await part.stop()

    async def _open(self, one: Listening, tenants: Tenants) -> None:
        listener = await self._company(one.company)
        sources = Sources(lambda address: tenants.company(address, listener), self._settings.ingest_per_source)
        port = self._port(one, sources)
        port.open()
        self._ports.append((one, port))

    def _port(self, one: Listening, sources: Sources) -> UdpPort | TcpPort:
        reactor = self._ground.clock
        if one.transport == "tcp":
            return TcpPort(one, self._graphite, sources, reactor, self._ground.wall)
        takers: dict[Kind, Taker] = {"syslog": self._syslog, "statsd": self._statsd, "graphite": self._graphite}
        return UdpPort(one, takers[one.kind], sources, reactor, self._ground.wall)

    def _is_full(self) -> bool:
        """Whether what is left of Redis' memory is for jobs."""
        return self._ground.memory() >= limits.MEMORY_WARNING

    async def _company(self, name: str | None) -> str:
        """The id of a company by its name or id."""
        if name is None:
            return self._ground.installation.company
        found = await self._companies.named(name)
        if found is None and await self._companies.exists(name):
            return name
        if found is None:
            raise StartError(f"there is no company {name!r}, to which what machines send could belong")
        return found

    def _show(self, kinds: set[Kind]) -> None:
        """Let Prometheus see the counters of what is received."""
        meter = self._ground.meter
        if "syslog" in kinds:
            meter.watch_counts("syslog", "Datagrams of syslog, and what became of them", "what", self._of_syslog)
        if "statsd" in kinds:
            meter.watch_counts("statsd", "Datagrams and lines of statsd, what became of them", "what", self._of_statsd)
        if "graphite" in kinds:
            meter.watch_counts(
                "graphite", "Datagrams and lines of Graphite, what became of them", "what", self._of_graphite
            )
        if kinds - {"syslog"}:
            meter.watch_counts("received_points", "Numbers of statsd and Graphite", "what", self._of_points)

    def _of_syslog(self) -> Mapping[str, float]:
        buffer, taker = self._messages, self._syslog
        ports = self._of_ports("syslog")
        return ports | {
            "stored": buffer.stored,
            "waiting": ports["waiting"] + buffer.waiting,
            "dropped": buffer.dropped,
            "lost": buffer.lost,
            "empty": taker.empty,
            "unparsed": taker.unparsed,
            "overflow_stream": self._streams.over,
        }

    def _of_statsd(self) -> Mapping[str, float]:
        taker, buffer = self._statsd, self._notices
        return self._of_ports("statsd") | {
            "samples": taker.samples,
            "bad_lines": taker.bad_lines,
            "empty": taker.empty,
            "notices": taker.notices,
            "notices_stored": buffer.stored,
            "notices_dropped": buffer.dropped + buffer.lost,
            **taker.counts,
        }

    def _of_graphite(self) -> Mapping[str, float]:
        taker = self._graphite
        tcp = [port for _, port in self._ports if isinstance(port, TcpPort)]
        return self._of_ports("graphite") | {
            "points": taker.points,
            "bad_lines": taker.bad_lines,
            "bad_names": taker.bad_names,
            "bad_times": taker.bad_times,
            "empty": taker.empty,
            "connections_refused": sum(port.refused for port in tcp),
        }

    def _of_points(self) -> Mapping[str, float]:
        points = self._points
        return {"stored": points.stored, "waiting": points.waiting, "dropped": points.dropped}

    def _of_ports(self, kind: Kind) -> dict[str, float]:
        ports = [port for one, port in self._ports if one.kind == kind]
        return {
            "received": sum(port.received for port in ports),
            "over_quota": sum(port.over_quota for port in ports),
            "waiting": sum(port.waiting for port in ports),
            "lost_in_kernel": sum(port.lost for port in ports),
        }
