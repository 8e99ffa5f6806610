"""One TCP port for lines of Graphite's plain text. Nothing is ever sent on its connections.

Bounded: connections in all and of one address, the length of a line, the time without any; a connection that exceeds
one of them is closed. Lines that a sender sends too fast are dropped and counted, as datagrams are.
"""

from typing import Any, Final

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger

from deployer.errors import StartError
from deployer.ingest.graphite import GraphiteTaker
from deployer.ingest.listening import Listening
from deployer.ingest.sources import Sources
from deployer.kit.clock import WallClock
from deployer.kit.periodic import Periodic
from deployer.protocol.plaintext import MAX_LINE_CHARS

IDLE_S: Final = 600.0
LOOK_S: Final = 30.0
CONNECTIONS: Final = 1000
CONNECTIONS_A_SOURCE: Final = 100


class _Lines(Protocol):
    """One connection. `heard`: when something came last."""

    def __init__(self, port: "TcpPort", address: str) -> None:
        self._port = port
        self._address = address
        self._rest = b""
        self.heard = port.clock.seconds()

    def dataReceived(self, data: bytes) -> None:
        """Take the lines that are whole."""
        self.heard = self._port.clock.seconds()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._port.take(self._address, lines)
        if len(self._rest) > MAX_LINE_CHARS:
            self._port.taker.bad_lines += 1
            self._rest = b""
            self.abort()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 (the base's form)
        """A last line may lack its end: it may be half of one, and is not taken."""
        self._port.left(self, self._address)

    def abort(self) -> None:
        """End it."""
        transport: Any = self.transport
        transport.abortConnection()


class TcpPort(Factory):
    """A listening port. `received`: lines; `over_quota`: of these; `refused`: connections."""

    noisy = False
    log = Logger()
    lost = 0
    waiting = 0

    def __init__(
        self, listening: Listening, taker: GraphiteTaker, sources: Sources, reactor: Any, wall: WallClock
    ) -> None:
        self._listening = listening
        self.taker = taker
        self._sources = sources
        self.clock = reactor
        self._wall = wall
        self._looks = Periodic("looking for idle connections", LOOK_S, self._look, reactor)
        self._port: Any = None
        self._open: set[_Lines] = set()
        self._by_source: dict[str, int] = {}
        self.received = 0
        self.over_quota = 0
        self.refused = 0

    @property
    def port(self) -> int:
        """Its number."""
        return 0 if self._port is None else int(self._port.getHost().port)

    def open(self) -> None:
        """Bind, or StartError."""
        one = self._listening
        try:
            self._port = self.clock.listenTCP(one.port, self, interface=one.interface)
        except CannotListenError as error:
            where = f"tcp:{one.port}:interface={one.interface}"
            raise StartError(f"{one.kind} cannot listen at {where}: {error.socketError.strerror}") from None
        self._looks.startService()
        self.log.info("{kind} listens at {where}", kind=one.kind, where=f"tcp {one.interface}:{self.port}")
        if not one.is_loopback:
            self.log.warn("{kind}: whoever reaches tcp port {port} may send", kind=one.kind, port=self.port)

    async def close(self) -> None:
        """End all connections."""
        if self._port is not None:
            self._looks.stopService()
            await self._port.stopListening()
            self._port = None
        for one in list(self._open):
            one.abort()

    def buildProtocol(self, addr: Any) -> _Lines | None:
        """A connection, or None for one too many."""
        address: str = addr.host
        of_source = self._by_source.get(address, 0)
        if len(self._open) >= CONNECTIONS or of_source >= CONNECTIONS_A_SOURCE:
            self.refused += 1
            return None
        self._by_source[address] = of_source + 1
        made = _Lines(self, address)
        self._open.add(made)
        return made

    def left(self, one: _Lines, address: str) -> None:
        """A connection has ended."""
        self._open.discard(one)
        self._by_source[address] -= 1
        if not self._by_source[address]:
            del self._by_source[address]

    def take(self, address: str, lines: list[bytes]) -> None:
        """Lines of a sender."""
        self.received += len(lines)
        source = self._sources.admit(address, self.clock.seconds(), len(lines))
        if source is None:
            self.over_quota += len(lines)
            return
        self.taker.wake(self._wall())
        self.taker.lines(lines, source.company)

    async def _look(self) -> None:
        """End the connections on which nothing comes."""
        now = self.clock.seconds()
        for one in [one for one in self._open if now - one.heard >= IDLE_S]:
            one.abort()
