"""Samples what the host consumes: counters as they are read, turned into rates."""

import sys
from collections.abc import Callable, Sequence

from deployer.kit.clock import Clock
from deployer_agent.stats.host import CpuParts, DiskIo, HostReading, HostUsage, NetworkIo
from deployer_agent.stats.rates import Rates


class HostSampler:
    """Samples again and again; the first sample has no rates. `read` is what this system has, tests give another."""

    def __init__(self, clock: Clock, read: Callable[[], HostReading] | None = None) -> None:
        self._clock = clock
        self._read = read or reading_here()
        self._cores, self._swap, self._disks, self._interfaces = Rates(), Rates(), Rates(), Rates()

    def sample(self) -> HostUsage:
        """What the host consumes now; takes few milliseconds, asks no file system that can hang."""
        now, read = self._clock.seconds(), self._read()
        shares = self._cores.grown({"": read.cpu, **read.cores})
        cores = {name: parts for name, steps in shares.items() if (parts := shared(steps)) is not None}
        total = cores.pop("", None)
        swap_in, swap_out = self._swap.per_second({"": read.swapped}, now).get("") or (None, None)
        return HostUsage(
            cpu=total,
            cores=cores,
            load=read.load,
            memory=read.memory,
            swap_total=read.swap_total,
            swap_used=read.swap_used,
            swap_in=swap_in,
            swap_out=swap_out,
            file_systems=read.file_systems,
            disks={name: DiskIo(*counters) for name, counters in read.disks.items()},
            disk_rates={name: DiskIo(*each) for name, each in self._disks.per_second(read.disks, now).items()},
            interfaces={name: NetworkIo(*counters) for name, counters in read.interfaces.items()},
            interface_rates={
                name: NetworkIo(*each) for name, each in self._interfaces.per_second(read.interfaces, now).items()
            },
            uptime_s=read.uptime_s,
            processes=read.processes,
            cut=read.cut,
        )


def shared(steps: Sequence[int]) -> CpuParts | None:
    """Each part's share in per cent; None when nothing was counted."""
    together = sum(steps)
    return CpuParts(*(step * 100 / together for step in steps)) if together > 0 else None


def reading_here() -> Callable[[], HostReading]:
    """The best that this system has."""
    if sys.platform == "linux":
        from deployer_agent.stats.host_proc_posix import ProcHost  # noqa: PLC0415 (not everywhere)

        return ProcHost().read
    else:  # noqa: RET505 (a branch of its own, so that each platform's checker sees only one)
        from deployer_agent.stats.host_psutil import read_host  # noqa: PLC0415 (not everywhere)

        return read_host
