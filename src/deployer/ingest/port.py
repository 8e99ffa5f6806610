"""One UDP socket in the reactor that takes many datagrams at a wake-up, and never sends one (RELIABILITY U1, U8).

Not Twisted's DatagramProtocol, which hands on each datagram before it reads the next: reading costs a fifth of what
taking them costs, so in a burst all is read at once and taken in turns of a few milliseconds, between which everything
else has its turn. What waits is bounded; beyond that it is left in the kernel's buffer, and what finds no room in that
is counted by the kernel.
"""

import socket
import struct
from collections import deque
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from deployer.errors import StartError
from deployer.ingest.listening import Listening
from deployer.ingest.sources import Source, Sources
from deployer.kit.clock import Call, Clock, WallClock, sleep
from deployer.protocol.syslogparts import MAX_DATAGRAM_BYTES

BUFFER_BYTES: Final = 4 * 1024 * 1024
DATAGRAMS_A_WAKE: Final = 1000
WAKE_S: Final = 0.003
DATAGRAMS_A_LOOK: Final = 32
"""After so many the time is looked at again."""
HELD_BYTES: Final = 64 * 1024 * 1024
OVERHEAD_BYTES: Final = 100
"""What a datagram takes beside its bytes."""
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
_DROPS: Final = 8


class Taker(Protocol):
    """What is done with datagrams."""

    def wake(self, now: float) -> None:
        """The next ones came at this time; epoch seconds."""

    def take(self, data: bytes, source: Source) -> None:
        """One datagram; never raises."""


class Reactor(Clock, Protocol):
    """The part of a reactor that is needed."""

    def addReader(self, reader: Any) -> None:  # noqa: N802 (Twisted's)
        """Call its doRead when there is something."""

    def removeReader(self, reader: Any) -> None:  # noqa: N802 (Twisted's)
        """Do not."""


@implementer(IReadDescriptor)
class UdpPort:
    """A bound socket. `received`: datagrams; `over_quota`: of those, the ones that their sender sent too fast.

    `waiting`: those that were read and are not taken yet.
    """

    log = Logger()

    def __init__(self, listening: Listening, taker: Taker, sources: Sources, reactor: Reactor, wall: WallClock) -> None:
        self._listening = listening
        self._taker = taker
        self._sources = sources
        self._reactor = reactor
        self._clock: Clock = reactor
        self._wall = wall
        self._chunks: deque[_Chunk] = deque()
        self._held = 0
        self._later: Call | None = None
        self._socket: socket.socket | None = None
        self._drops = 0
        self.waiting = 0
        self.received = 0
        self.over_quota = 0
        self.errors = 0

    def open(self) -> None:
        """Bind, or StartError."""
        self._socket = _bound(self._listening)
        got = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        if got < BUFFER_BYTES:
            self.log.warn(
                "{kind}: the kernel gives a buffer of {got} bytes, not {wanted}: bursts may be lost; raise the sysctl "
                "net.core.rmem_max",
                kind=self._listening.kind,
                got=got,
                wanted=BUFFER_BYTES,
            )
        self._reactor.addReader(self)
        self.log.info("{kind} listens at {where}", kind=self._listening.kind, where=f"udp {self.address}:{self.port}")
        if not self._listening.is_loopback:
            self.log.warn("{kind}: whoever reaches udp port {port} may send", kind=self._listening.kind, port=self.port)

    @property
    def address(self) -> str:
        """Where it is bound."""
        return self._listening.interface

    @property
    def port(self) -> int:
        """Its number."""
        return 0 if self._socket is None else int(self._socket.getsockname()[1])

    @property
    def lost(self) -> int:
        """How many the kernel dropped since its buffer was full: what /proc/net/udp calls `drops`."""
        if self._socket is not None:
            self._drops = _drops(self._socket)
        return self._drops

    async def close(self) -> None:
        """Take what is there already, and no more."""
        if self._socket is not None:
            self.doRead()
            self._reactor.removeReader(self)
            self._drops = _drops(self._socket)
            self._socket.close()
            self._socket = None
        while self._chunks:
            await sleep(self._clock, 0)

    def fileno(self) -> int:
        """Of the socket; -1 when it is closed (Twisted's convention)."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:  # noqa: N802 (Twisted's)
        """What the reactor's own messages begin with."""
        return self._listening.kind

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends, or has found the descriptor to be none."""
        self.log.warn("{kind} is closed: {reason}", kind=self._listening.kind, reason=str(reason.value))
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def doRead(self) -> None:  # noqa: N802 (Twisted's)
        """Read what there is, up to a limit, then take it as far as the time goes."""
        if self._held < HELD_BYTES:
            self._read()
        if self._later is None:
            self._work()

    def _read(self) -> None:
        assert self._socket is not None  # noqa: S101 (no reader without one)
        receive, admit, now = self._socket.recvfrom, self._sources.admit, self._clock.seconds()
        found: list[tuple[bytes, Source]] = []
        try:
            for _ in range(DATAGRAMS_A_WAKE):
                data, address = receive(MAX_DATAGRAM_BYTES)
                self.received += 1
                source = admit(address[0], now)
                if source is None:
                    self.over_quota += 1
                else:
                    found.append((data, source))
        except BlockingIOError:
            pass
        except OSError:  # an error of the network that was reported to this socket; the next read is of data
            self.errors += 1
        if found:
            self._chunks.append(_Chunk(self._wall(), found))
            self._held += sum(len(data) for data, _ in found) + OVERHEAD_BYTES * len(found)
            self.waiting += len(found)

    def _work(self) -> None:
        """Take what was read; the rest in the reactor's next turn."""
        self._later = None
        began = self._clock.seconds()
        while self._chunks:
            self._some(self._chunks[0])
            if self._clock.seconds() - began > WAKE_S:
                break
        if self._chunks:
            self._later = self._clock.callLater(0, self._work)

    def _some(self, chunk: "_Chunk") -> None:
        """Take a few."""
        take, begin = self._taker.take, chunk.taken
        some = chunk.found[begin : begin + DATAGRAMS_A_LOOK]
        self._taker.wake(chunk.at)
        for data, source in some:
            take(data, source)
        chunk.taken += len(some)
        self.waiting -= len(some)
        self._held -= sum(len(data) for data, _ in some) + OVERHEAD_BYTES * len(some)
        if chunk.taken >= len(chunk.found):
            self._chunks.popleft()


class _Chunk:
    """What was read at once: when (epoch seconds), and how much of it was taken."""

    __slots__ = ("at", "found", "taken")

    def __init__(self, at: float, found: list[tuple[bytes, Source]]) -> None:
        self.at = at
        self.found = found
        self.taken = 0


def _bound(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.interface else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    try:
        made.bind((listening.interface, listening.port))
    except OSError as error:
        made.close()
        where = f"udp:{listening.port}:interface={listening.interface}"
        raise StartError(f"{listening.kind} cannot listen at {where}: {error.strerror}") from None
    return made


def _drops(bound: socket.socket) -> int:
    """The socket's counter (Linux 4.12 and later); 0 where there is none."""
    try:
        told = bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(told)[_DROPS])
    except (OSError, struct.error):
        return 0
