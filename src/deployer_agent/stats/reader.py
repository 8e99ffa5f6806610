"""Reads what single processes consume: from /proc on Linux, which is much faster, elsewhere by psutil."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from deployer_agent.stats.usage import Readings, Usage

PROC: Final = "/proc"
_KB: Final = 1024
_CPU_FIELDS: Final = slice(11, 13)  # utime, stime of /proc/PID/stat, counted after the name in parentheses
_THREADS_FIELD: Final = 17
_START_FIELD: Final = 19
_VMS_FIELD: Final = 20
_RSS_FIELD: Final = 21


class Reader:
    """Reads processes by number; those that are gone, or that we may not see, are left out."""

    def __init__(self, proc: str = PROC) -> None:
        self._proc = proc
        self._linux = Path(proc, "self", "stat").exists() or proc != PROC
        self._hertz = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
        self._page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

    def read(self, pids: Iterable[int]) -> Readings:
        """What each of them consumes."""
        read_one = self._one if self._linux else _by_psutil
        return dict(found for pid in pids if (found := read_one(pid)) is not None)

    def _one(self, pid: int) -> tuple[tuple[int, int], Usage] | None:
        stat = self._text(pid, "stat")
        fields = stat[stat.rfind(b")") + 2 :].split()
        if len(fields) <= _RSS_FIELD:
            return None
        io = _pairs(self._text(pid, "io"))
        usage = Usage(
            cpu_s=sum(map(int, fields[_CPU_FIELDS])) / self._hertz,
            rss=int(fields[_RSS_FIELD]) * self._page,
            vms=int(fields[_VMS_FIELD]),
            swap=_swap(self._text(pid, "status")),
            threads=int(fields[_THREADS_FIELD]),
            fds=self._descriptors(pid),
            read_bytes=io.get(b"read_bytes", 0),
            write_bytes=io.get(b"write_bytes", 0),
        )
        return (pid, int(fields[_START_FIELD])), usage

    def _descriptors(self, pid: int) -> int:
        with suppress(OSError):
            return len(os.listdir(f"{self._proc}/{pid}/fd"))  # noqa: PTH208 (names are all we need)
        return 0

    def _text(self, pid: int, name: str) -> bytes:
        try:
            with open(f"{self._proc}/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 (faster than a Path)
                return file.read() or b""
        except OSError:
            return b""


def _pairs(text: bytes) -> Mapping[bytes, int]:
    pairs = (line.partition(b": ") for line in text.splitlines())
    return {name: int(value) for name, colon, value in pairs if colon and value.isdigit()}


def _swap(status: bytes) -> int:
    begin = status.find(b"VmSwap:")
    return int(status[begin:].split(None, 2)[1]) * _KB if begin >= 0 else 0


def _by_psutil(pid: int) -> tuple[tuple[int, int], Usage] | None:
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        with process.oneshot():
            cpu, memory = process.cpu_times(), process.memory_info()
            usage = Usage(cpu.user + cpu.system, memory.rss, memory.vms, 0, process.num_threads())
            return (pid, int(process.create_time() * 100)), usage
    return None
