"""The files of /proc that tell what processes consume, each read in three system calls. Source: proc(5)."""

import os
import re
import sys
from collections.abc import Mapping
from typing import Final

from deployer_agent.stats.source import Bytes, Sighting

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

GONE: Final = (FileNotFoundError, ProcessLookupError)
"""What reading says of a process that has ended."""

SMALL: Final = 4096
MANY: Final = 1 << 18
"""The most that is read of a file that describes the whole host."""

Io = tuple[int, int]
"""Bytes read from and written to disks."""

_HERTZ: Final = os.sysconf("SC_CLK_TCK")
_SECOND: Final = 1000
_START_FIELD: Final = 19
_RSS_FIELD: Final = 21
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_KB: Final = 1024
_DEAD: Final = frozenset({b"Z", b"X", b"x"})
_IO: Final = re.compile(rb"^read_bytes: (\d+)\nwrite_bytes: (\d+)$", re.MULTILINE)
_IN_USE: Final = re.compile(rb"^(TCP6?|UDP6?): inuse (\d+)", re.MULTILINE)
_LOOPBACK: Final = b"lo"
_INTERFACE_FIELDS: Final = 16
_SENT_FIELD: Final = 8


def read(path: str, most: int = SMALL) -> bytes:
    """Up to `most` bytes of a file; OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        text = os.read(handle, most)
        while len(text) < most and most > SMALL and (more := os.read(handle, most - len(text))):
            text += more  # /proc gives a page or a line at a time
        return text
    finally:
        os.close(handle)


Stat = list[bytes]
"""The fields of /proc/PID/stat after the name: state, parent, ..."""


def stat_of(text: bytes) -> Stat:
    """Split at the last parenthesis, since the name may hold parentheses and blanks itself; ValueError."""
    fields = text[text.rindex(b")") + 2 :].split(None, _RSS_FIELD + 1)
    if len(fields) <= _RSS_FIELD:
        raise ValueError("too few fields")
    return fields


def start_of(stat: Stat) -> float:
    """When the process began, in seconds since the boot; ValueError."""
    return int(stat[_START_FIELD]) / _HERTZ


def sighting(pid: int, key: str, stat: Stat, io: Io = (0, 0), *, swap: int = 0, fds: int = 0) -> Sighting:
    """All that is known of one process; ValueError."""
    threads = int(stat[17])
    return Sighting(
        pid,
        int(stat[1]),
        int(stat[_START_FIELD]) / _HERTZ,
        key,
        cpu_ms=(int(stat[11]) + int(stat[12])) * _SECOND // _HERTZ,
        waited_ms=(int(stat[13]) + int(stat[14])) * _SECOND // _HERTZ,
        faults=int(stat[8]),
        read_bytes=io[0],
        write_bytes=io[1],
        rss=max(0, int(stat[_RSS_FIELD])) * _PAGE,
        vms=int(stat[20]),
        swap=swap,
        threads=threads,
        fds=fds,
        alive=stat[0] not in _DEAD or threads > 1,
    )


def io_of(text: bytes) -> Io:
    """What /proc/PID/io tells; ValueError."""
    if (found := _IO.search(text)) is None:
        raise ValueError("no io")
    return int(found[1]), int(found[2])


def swap_of(status: bytes) -> int:
    """VmSwap of /proc/PID/status in bytes; 0 for a process without memory of its own."""
    begin = status.find(b"\nVmSwap:")
    return int(status[begin:].split(None, 2)[1]) * _KB if begin >= 0 else 0


def swap_in_use(swaps: bytes) -> bool:
    """Whether anything of /proc/swaps is used."""
    rows = [line.split() for line in swaps.splitlines()[1:]]
    return any(int(row[-2]) > 0 for row in rows if len(row) > 3 and row[-2].isdigit())  # noqa: PLR2004 (name, type, size)


def in_use(sockstat: bytes) -> dict[str, int]:
    """How many sockets there are by protocol (TCP, UDP, TCP6, UDP6), in /proc/net/sockstat or sockstat6."""
    return {name.decode(): int(count) for name, count in _IN_USE.findall(sockstat)}


def carried(dev: bytes) -> Bytes:
    """What all interfaces but the loopback have sent and received, in /proc/PID/net/dev."""
    sent = received = 0
    for name, fields in interfaces(dev).items():
        if name != _LOOPBACK:
            sent += fields[_SENT_FIELD]
            received += fields[0]
    return sent, received


def interfaces(dev: bytes) -> Mapping[bytes, list[int]]:
    """The sixteen counters of each interface, received first."""
    found = {}
    for line in dev.splitlines():
        name, colon, numbers = line.rpartition(b":")
        fields = numbers.split()
        if colon and len(fields) >= _INTERFACE_FIELDS and all(map(bytes.isdigit, fields)):
            found[name.strip()] = [int(field) for field in fields]
    return found
