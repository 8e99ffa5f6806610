"""Reads what the host consumes from /proc and /sys of Linux. Source: proc(5), iostats.rst of the kernel."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from deployer_agent.stats import procfs_posix as procfs
from deployer_agent.stats.host import MOST, FileSystem, HostReading, MemoryUse
from deployer_agent.stats.mounts import Mount, askable, parse_mounts

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

T = TypeVar("T")

_KB: Final = 1024
_SECTOR: Final = 512
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_CPU_FIELDS: Final = 8  # user nice system idle iowait irq softirq steal; guests are in user already
_DISK_FIELDS: Final = 13
_UNREAL: Final = ("loop", "ram", "zram", "fd", "sr")


class ProcHost:
    """Reads by `proc` and `blocks` (a folder with one entry for each whole device), in tests other directories."""

    def __init__(
        self, proc: str = "/proc", blocks: str = "/sys/block", statvfs: Callable[[str], Any] = os.statvfs
    ) -> None:
        self._proc = proc
        self._blocks = blocks
        self._statvfs = statvfs

    def read(self) -> HostReading:
        """As it stands; what cannot be read is zero or left out."""
        memory, paged = self._named("meminfo"), self._named("vmstat")
        cores, lost_cores = _bounded(cpus(self._text("stat")), MOST + 1)
        disks, lost_disks = _bounded(self._disks())
        interfaces, lost_interfaces = _bounded(self._interfaces())
        mounts = askable(parse_mounts(self._text("self/mounts").decode("utf-8", "surrogateescape")))
        return HostReading(
            cpu=cores.pop("", ()),
            cores=cores,
            load=_load(self._text("loadavg")),
            memory=memory_of(memory),
            swap_total=memory.get("SwapTotal", 0) * _KB,
            swap_used=(memory.get("SwapTotal", 0) - memory.get("SwapFree", 0)) * _KB,
            swapped=[paged[name] * _PAGE for name in ("pswpin", "pswpout") if name in paged],
            file_systems=[one for mount in mounts[:MOST] if (one := self._sizes(mount)) is not None],
            disks=disks,
            interfaces=interfaces,
            uptime_s=_first(self._text("uptime")),
            processes=sum(map(str.isdigit, os.listdir(self._proc))),  # noqa: PTH208 (Path.iterdir costs five times as much)
            cut=lost_cores + lost_disks + lost_interfaces + max(0, len(mounts) - MOST),
        )

    def _disks(self) -> dict[str, list[int]]:
        try:
            whole = os.listdir(self._blocks)  # noqa: PTH208 (names are all we need)
        except OSError:
            return {}
        real = {name.replace("!", "/") for name in whole if not name.startswith(_UNREAL)}
        found = disk_counters(self._text("diskstats"))
        return {name: counters for name, counters in found.items() if name in real}

    def _interfaces(self) -> dict[str, list[int]]:
        found = procfs.interfaces(self._text("net/dev"))
        return {name.decode("utf-8", "replace"): [*each[:4], *each[8:12]] for name, each in found.items()}

    def _sizes(self, mount: Mount) -> FileSystem | None:
        try:
            told = self._statvfs(mount.mountpoint)
        except OSError:
            return None
        size = told.f_frsize
        return FileSystem(
            mountpoint=mount.mountpoint,
            device=mount.device,
            fstype=mount.fstype,
            total=told.f_blocks * size,
            used=(told.f_blocks - told.f_bfree) * size,
            free=told.f_bavail * size,
            inodes=told.f_files,
            inodes_used=told.f_files - told.f_ffree,
        )

    def _named(self, name: str) -> dict[str, int]:
        return named_numbers(self._text(name).decode("ascii", "replace"))

    def _text(self, name: str) -> bytes:
        try:
            return procfs.read(str(Path(self._proc, name)), procfs.MANY)
        except OSError:
            return b""


def cpus(stat: bytes) -> dict[str, list[int]]:
    """The times of each core by its number, and of all by the empty name, in the order of `CpuParts`."""
    found = {}
    for line in stat.splitlines():
        name, *fields = line.split()[: _CPU_FIELDS + 1] or [b""]
        if not name.startswith(b"cpu"):
            break  # cores stand first; the line of interrupts after them is the longest of the file
        if all(map(bytes.isdigit, fields)) and len(fields) >= 4:  # noqa: PLR2004 (the rest came later)
            user, nice, system, idle, iowait, irq, softirq, steal = [*map(int, fields), 0, 0, 0, 0][:_CPU_FIELDS]
            found[name[3:].decode()] = [user + nice, system + irq + softirq, iowait, steal, idle]
    return found


def disk_counters(diskstats: bytes) -> dict[str, list[int]]:
    """Reads, writes, bytes read, bytes written, busy milliseconds of each device, partitions too."""
    found = {}
    for line in diskstats.splitlines():
        row = line.split()
        if len(row) >= _DISK_FIELDS and all(map(bytes.isdigit, row[3:_DISK_FIELDS])):
            reads, _, read, _, writes, _, written, _, _, busy = map(int, row[3:_DISK_FIELDS])
            found[row[2].decode("utf-8", "replace")] = [reads, writes, read * _SECTOR, written * _SECTOR, busy]
    return found


def memory_of(meminfo: Mapping[str, int]) -> MemoryUse:
    """From /proc/meminfo, whose numbers are in kB."""
    total, free, buffers = (meminfo.get(name, 0) * _KB for name in ("MemTotal", "MemFree", "Buffers"))
    cached = (meminfo.get("Cached", 0) + meminfo.get("SReclaimable", 0)) * _KB
    available = min(total, meminfo["MemAvailable"] * _KB if "MemAvailable" in meminfo else free + buffers + cached)
    return MemoryUse(
        total=total, used=total - available, available=available, free=free, buffers=buffers, cached=cached
    )


def named_numbers(text: str) -> dict[str, int]:
    """`Name: 12 kB` or `name 12` of each line."""
    rows = [line.replace(":", " ").split() for line in text.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isascii() and row[1].isdigit()}


def _bounded(things: Mapping[str, Sequence[int]], most: int = MOST) -> tuple[dict[str, Sequence[int]], int]:
    """The first ones, and how many are left out."""
    return dict(islice(things.items(), most)), max(0, len(things) - most)


def _load(text: bytes) -> tuple[float, float, float]:
    try:
        one, five, fifteen = map(float, text.split()[:3])
    except ValueError:
        return 0.0, 0.0, 0.0
    return one, five, fifteen


def _first(text: bytes) -> float:
    try:
        return float(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return 0.0
