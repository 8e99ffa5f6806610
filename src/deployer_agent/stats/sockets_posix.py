"""What TCP connections have carried, asked of the kernel by netlink (sock_diag(7), linux/inet_diag.h, linux/tcp.h).

A request names address family and protocol and is answered by one message a socket, in datagrams of up to 32 kB; the
message has the socket's inode and cookie and, as an attribute, its struct tcp_info, which has grown over the years:
what lies beyond the length that this kernel gives is not read. Bytes sent are counted as they went out, repeats too;
kernels before 4.19 tell only what was acknowledged. A kernel or sandbox that refuses is asked again at each sample and
gives nothing; `refused` says so.

This does not see: UDP and other protocols, a connection that begins and ends between two samples, what a connection
carried after the last sample that saw it, headers of TCP and IP.
"""

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from deployer_agent.stats.pace import Pace
from deployer_agent.stats.source import Bytes

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

Table = tuple[int, int]
"""Address family and protocol."""

TABLES: Final[dict[str, Table]] = {
    "TCP": (socket.AF_INET, socket.IPPROTO_TCP),
    "TCP6": (socket.AF_INET6, socket.IPPROTO_TCP),
    "UDP": (socket.AF_INET, socket.IPPROTO_UDP),
    "UDP6": (socket.AF_INET6, socket.IPPROTO_UDP),
}
"""By their names in /proc/net/sockstat."""

MAX_SOCKETS: Final = 65_536
"""The most sockets of the host that are looked at in one sample."""

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_INET_DIAG_INFO: Final = 2
_LISTEN: Final = 10
_STATES: Final = 0xFFF & ~(1 << 3 | 1 << 6)  # SYN_RECV and TIME_WAIT belong to no process
_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST: Final = struct.Struct("=BBBBI48x")  # inet_diag_req_v2: family, protocol, extensions, -, states, any id
_SOCKET: Final = struct.Struct("=xB42xQ16xI")  # inet_diag_msg: state, cookie, inode (after expires, queues, uid)
_ATTRIBUTE: Final = struct.Struct("=HH")
_COUNTER: Final = struct.Struct("=Q")
_ACKED, _RECEIVED, _SENT = 120, 128, 200  # offsets in struct tcp_info
_BUFFER: Final = 65_536


class Found(Struct, frozen=True, gc=False):
    """One socket."""

    cookie: int
    carried: Bytes


class Sockets:
    """Asks for sockets; `cut` counts how often there were more than are looked at."""

    def __init__(self, connect: Callable[[], socket.socket] | None = None, most: int = MAX_SOCKETS) -> None:
        self.refused = False
        self.cut = 0
        self._connect = connect or _netlink
        self._most = most

    async def find(self, wanted: set[int], tables: Iterable[Table], pace: Pace) -> tuple[dict[int, Found], bool]:
        """Those of the inodes that are inet sockets, and whether the kernel told of all."""
        found: dict[int, Found] = {}
        complete = True
        try:
            with self._connect() as kernel:
                for number, table in enumerate(tables, start=1):
                    complete = await self._dump(kernel, Answer(number, table, wanted, found), pace) and complete
        except BlockingIOError:
            return found, False
        except OSError:
            self.refused = True
            return found, False
        self.refused = False
        return found, complete

    async def _dump(self, kernel: socket.socket, answer: "Answer", pace: Pace) -> bool:
        kernel.send(request(answer.number, answer.table))
        while not answer.over:
            try:
                answer.add(kernel.recv(_BUFFER))
            except FileNotFoundError:
                if answer.table[1] == socket.IPPROTO_TCP:
                    raise
                return True  # a kernel without udp_diag: its sockets are not counted
            if answer.seen > self._most:
                self.cut += 1
                return False
            if pace.spent:
                await pace.rest()
        return True


def _netlink() -> socket.socket:
    made = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
    )  # type: ignore[attr-defined,unused-ignore]  # Linux has it
    try:
        made.connect((0, 0))  # the kernel, so that nobody else's messages arrive
    except OSError:
        made.close()
        raise
    return made


def request(number: int, table: Table) -> bytes:
    """Ask for all sockets of a family and protocol."""
    family, protocol = table
    extensions = 1 << (_INET_DIAG_INFO - 1) if protocol == socket.IPPROTO_TCP else 0
    body = _REQUEST.pack(family, protocol, extensions, 0, _STATES)
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, number, 0) + body


class Answer(Struct):
    """The answer to one request, as far as it has come; what is wanted of it goes into `found`."""

    number: int
    table: Table
    wanted: set[int]
    found: dict[int, Found]
    seen: int = 0
    over: bool = False

    def add(self, datagram: bytes) -> None:
        """Take the messages of one datagram. OSError: refused; FileNotFoundError: the kernel has no such table."""
        at = 0
        while at + _HEADER.size <= len(datagram) and not self.over:
            length, kind, _, sequence, _ = _HEADER.unpack_from(datagram, at)
            begin, end = at + _HEADER.size, at + length
            if end < begin or end > len(datagram):
                break
            if sequence == self.number:
                self._take(kind, datagram, begin, end)
            at = end + 3 & ~3
        if at == 0:
            raise OSError(errno.EBADMSG, "no message of netlink")

    def _take(self, kind: int, datagram: bytes, begin: int, end: int) -> None:
        if kind in {_ERROR, _DONE}:
            self.over = True
            _check(datagram[begin:end])
        elif kind == _SOCK_DIAG_BY_FAMILY and end - begin >= _SOCKET.size:
            self.seen += 1
            state, cookie, inode = _SOCKET.unpack_from(datagram, begin)
            if inode in self.wanted:
                told = (0, 0) if state == _LISTEN else _carried(datagram, begin + _SOCKET.size, end)
                self.found[inode] = Found(cookie, told)


def _check(error: bytes) -> None:
    number = -int.from_bytes(error[:4], sys.byteorder, signed=True)
    if number > 0:
        raise OSError(number, "the kernel does not list its sockets")


def _carried(datagram: bytes, at: int, end: int) -> Bytes:
    """Sent and received, from the attribute with tcp_info; nothing without one."""
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(datagram, at)
        if length < _ATTRIBUTE.size or at + length > end:
            break
        if kind == _INET_DIAG_INFO:
            return carried(datagram[at + _ATTRIBUTE.size : at + length])
        at += length + 3 & ~3
    return 0, 0


def carried(info: bytes) -> Bytes:
    """Sent and received of a struct tcp_info of any length."""
    sent = _counter(info, _SENT) if len(info) >= _SENT + _COUNTER.size else _counter(info, _ACKED)
    return sent, _counter(info, _RECEIVED)


def _counter(info: bytes, offset: int) -> int:
    return int(_COUNTER.unpack_from(info, offset)[0]) if len(info) >= offset + _COUNTER.size else 0
