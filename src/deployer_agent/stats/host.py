"""What a host consumes, as it is read and as it is told to others. Sizes in bytes."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

MOST: Final = 256
"""The most cores, disks, interfaces and file systems that are looked at, of each kind."""


class CpuParts(NamedTuple):
    """Times, in any unit, or shares in per cent. `user` with nice, `system` with interrupts."""

    user: float
    system: float
    iowait: float
    steal: float
    idle: float

    @property
    def busy(self) -> float:
        """All but idle and waiting for disks."""
        return self.user + self.system + self.steal


class DiskIo(NamedTuple):
    """Of one whole device: since the start, or for each second. `busy_ms`: milliseconds with anything under way."""

    reads: float
    writes: float
    read_bytes: float
    write_bytes: float
    busy_ms: float


class NetworkIo(NamedTuple):
    """Of one interface: since the start, or for each second."""

    received: float
    received_packets: float
    received_errors: float
    received_drops: float
    sent: float
    sent_packets: float
    sent_errors: float
    sent_drops: float


class MemoryUse(Struct, frozen=True):
    """`used` is what is not available; `cached` with what the kernel can give back of its own."""

    total: int = 0
    used: int = 0
    available: int = 0
    free: int = 0
    buffers: int = 0
    cached: int = 0


class FileSystem(Struct, frozen=True):
    """One that is on a device of this host. `free`: for users who are not root; inodes are 0 where there are none."""

    mountpoint: str
    device: str
    fstype: str
    total: int
    used: int
    free: int
    inodes: int = 0
    inodes_used: int = 0


class HostReading(Struct, frozen=True, kw_only=True):
    """What is read at one time; counters are since the start. `swapped`: bytes in and out. `cut`: what was too many."""

    cpu: Sequence[int] = ()
    cores: Mapping[str, Sequence[int]] = {}
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    memory: MemoryUse = MemoryUse()
    swap_total: int = 0
    swap_used: int = 0
    swapped: Sequence[int] = ()
    file_systems: Sequence[FileSystem] = ()
    disks: Mapping[str, Sequence[int]] = {}
    interfaces: Mapping[str, Sequence[int]] = {}
    uptime_s: float = 0.0
    processes: int = 0
    cut: int = 0


class HostUsage(Struct, frozen=True, kw_only=True):
    """What a host consumes, all of it.

    Shares of the cpu in per cent of one core, `cpu` in per cent of all, over the interval since the sample before; None
    or left out without one. `swap_in`, `swap_out`, `disk_rates` and `interface_rates` for each second of it.
    `load` over 1, 5 and 15 minutes. `cut`: how many cores, disks, interfaces and file systems are left out.
    """

    cpu: CpuParts | None
    cores: Mapping[str, CpuParts]
    load: tuple[float, float, float]
    memory: MemoryUse
    swap_total: int
    swap_used: int
    swap_in: float | None
    swap_out: float | None
    file_systems: Sequence[FileSystem]
    disks: Mapping[str, DiskIo]
    disk_rates: Mapping[str, DiskIo]
    interfaces: Mapping[str, NetworkIo]
    interface_rates: Mapping[str, NetworkIo]
    uptime_s: float
    processes: int
    cut: int
