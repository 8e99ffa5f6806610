"""Reads what the host consumes by psutil, on any system. What one does not tell is 0 or left out.

File systems are those that psutil takes for devices of this host, so that none is asked that can hang.
"""

import time
from contextlib import suppress
from typing import Any

import psutil

from deployer_agent.stats.host import MOST, FileSystem, HostReading, MemoryUse

_MS = 1000


def read_host() -> HostReading:
    """As it stands."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    cores = psutil.cpu_times(percpu=True)
    disks, interfaces = psutil.disk_io_counters(perdisk=True) or {}, psutil.net_io_counters(pernic=True) or {}
    mounts = psutil.disk_partitions(all=False)
    return HostReading(
        cpu=_cpu(psutil.cpu_times()),
        cores={str(number): _cpu(times) for number, times in enumerate(cores[:MOST])},
        load=psutil.getloadavg(),
        memory=MemoryUse(
            total=memory.total,
            used=memory.total - memory.available,
            available=memory.available,
            free=memory.free,
            buffers=getattr(memory, "buffers", 0),
            cached=getattr(memory, "cached", 0),
        ),
        swap_total=swap.total,
        swap_used=swap.used,
        swapped=[swap.sin, swap.sout],
        file_systems=[one for mount in mounts[:MOST] if (one := _sizes(mount)) is not None],
        disks={name: _disk(io) for name, io in list(disks.items())[:MOST]},
        interfaces={name: _interface(io) for name, io in list(interfaces.items())[:MOST]},
        uptime_s=max(0.0, time.time() - psutil.boot_time()),
        processes=len(psutil.pids()),
        cut=sum(max(0, len(things) - MOST) for things in (cores, mounts, disks, interfaces)),
    )


def _cpu(times: Any) -> list[int]:
    """In the order of `CpuParts`, in milliseconds."""
    user = times.user + getattr(times, "nice", 0)
    parts = (user, times.system, getattr(times, "iowait", 0), getattr(times, "steal", 0), times.idle)
    return [int(part * _MS) for part in parts]


def _disk(io: Any) -> list[int]:
    return [io.read_count, io.write_count, io.read_bytes, io.write_bytes, getattr(io, "busy_time", 0)]


def _interface(io: Any) -> list[int]:
    received = [io.bytes_recv, io.packets_recv, io.errin, io.dropin]
    return [*received, io.bytes_sent, io.packets_sent, io.errout, io.dropout]


def _sizes(mount: Any) -> FileSystem | None:
    with suppress(OSError):  # a drive without a medium
        usage = psutil.disk_usage(mount.mountpoint)
        return FileSystem(mount.mountpoint, mount.device, mount.fstype, usage.total, usage.used, usage.free)
    return None
