"""What machines send to this master: every socket of syslog, statsd and Graphite, and where it goes."""

from collections.abc import Mapping

from deployer.assembly.core import Ground
from deployer.config import MasterSettings, receivers, source_networks
from deployer.errors import StartError
from deployer.ingest.buffer import Buffer
from deployer.ingest.listening import Listening
from deployer.ingest.port import Taker, UdpPort
from deployer.ingest.sources import Sources
from deployer.ingest.streams import Streams
from deployer.ingest.syslog import DOMAIN, SyslogTaker
from deployer.ingest.tenants import Tenants
from deployer.stores.companies import Companies
from deployer.stores.logs import Logs


class Receivers:
    """All of them, from `open` to `close`."""

    def __init__(self, settings: MasterSettings, ground: Ground) -> None:
        self._settings = settings
        self._ground = ground
        self._companies = Companies(ground.redis)
        self._ports: list[tuple[Listening, UdpPort]] = []
        self._buffer = Buffer(Logs(ground.redis).append, ground.clock)
        self._syslog_streams = Streams(DOMAIN, ground.installation.company)
        self._syslog = SyslogTaker(self._buffer, self._syslog_streams, ground.wall)

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
        if asked:
            self._buffer.start()
            self._ground.meter.watch_counts(
                "syslog", "Datagrams of syslog: how many came, what became of them", "what", self._of_syslog
            )

    async def close(self) -> None:
        """Take what has come, store it, take no more."""
        for _, port in self._ports:
            port.close()
        await self._buffer.stop()

    async def _open(self, one: Listening, tenants: Tenants) -> None:
        listener = await self._company(one.company)
        sources = Sources(lambda address: tenants.company(address, listener), self._settings.ingest_per_source)
        port = UdpPort(one, self._taker(one), sources, self._ground.clock, self._ground.clock)
        port.open()
        self._ports.append((one, port))

    def _taker(self, one: Listening) -> Taker:
        if one.kind != "syslog":
            raise StartError(f"{one.kind} is not received yet")
        return self._syslog

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

    def _of_syslog(self) -> Mapping[str, float]:
        buffer, taker = self._buffer, self._syslog
        return self._of_ports("syslog") | {
            "stored": buffer.stored,
            "waiting": buffer.waiting,
            "dropped": buffer.dropped,
            "lost": buffer.lost,
            "empty": taker.empty,
            "unparsed": taker.unparsed,
            "overflow_stream": self._syslog_streams.over,
        }

    def _of_ports(self, kind: str) -> dict[str, float]:
        ports = [port for one, port in self._ports if one.kind == kind]
        return {
            "received": sum(port.received for port in ports),
            "over_quota": sum(port.over_quota for port in ports),
            "lost_in_kernel": sum(port.lost for port in ports),
        }
