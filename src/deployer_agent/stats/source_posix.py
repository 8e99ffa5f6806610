"""Sees processes in /proc of Linux: one walk over all for their parents, then the other files of those that count.

Parents are read before their children, as the ledger asks: the walk goes by ascending pid, io of processes that were
seen before is read beside their stat, and where numbers have wrapped round the child is read anew.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from msgspec import Struct

from deployer_agent.stats import descriptors_posix, sockets_posix
from deployer_agent.stats import procfs_posix as procfs
from deployer_agent.stats.owners import owners
from deployer_agent.stats.pace import Pace
from deployer_agent.stats.source import Counts, Looked, Network, Roots, Sighting

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

MAX_MEMBERS: Final = 16_384
"""The most processes that are looked at in one sample, of all keys together."""


class Walked(Struct):
    """What the walk brought, by pid in the order in which they were read; `keys` of those that count."""

    stats: dict[int, procfs.Stat]
    parents: dict[int, int]
    io: dict[int, procfs.Io]
    unreadable: set[int]
    keys: Mapping[int, str] = {}


class ProcSource:
    """Sees by `proc`, in tests another directory. `boot_s`: seconds since the boot, with those asleep."""

    def __init__(
        self,
        proc: str = "/proc",
        sockets: sockets_posix.Sockets | None = None,
        boot_s: Callable[[], float] | None = None,
    ) -> None:
        self.counts = Counts()
        self._proc = proc
        self._descriptors = descriptors_posix.Descriptors(proc, self.counts, sockets)
        self._boot_s = boot_s or _since_boot
        self._swap = False

    @property
    def refused(self) -> bool:
        """The kernel does not tell what connections carry."""
        return self._descriptors.sockets.refused

    async def look(self, roots: Roots, known: Mapping[int, Sighting], pace: Pace) -> Looked:
        """Look once."""
        now_s, found = self._boot_s(), []
        self._swap = procfs.swap_in_use(self._text("swaps"))
        self._descriptors.begin()
        walked = await self._walk(known, pace)
        remembered = {pid: (one.parent, one.key) for pid, one in known.items() if _lives(one, walked)}
        walked.keys = owners(walked.parents, roots, remembered)
        networks = {key: Network(set(), {}, {}) for key in roots}
        for pid in self._chosen(walked):
            if (one := await self._member(pid, walked, networks[walked.keys[pid]], pace)) is not None:
                found.append(one)
            if pace.spent:
                await pace.rest()
        await self._descriptors.ask(networks, pace)
        return Looked(found, walked.unreadable, networks, now_s)

    async def _walk(self, known: Mapping[int, Sighting], pace: Pace) -> Walked:
        walked = Walked({}, {}, {}, set())
        for name in os.listdir(self._proc):  # noqa: PTH208 (Path.iterdir costs five times as much)
            if name.isdigit():
                self._step(int(name), walked, known)
                if pace.spent:
                    await pace.rest()
        return walked

    def _step(self, pid: int, walked: Walked, known: Mapping[int, Sighting]) -> None:
        try:
            stat = procfs.stat_of(procfs.read(f"{self._proc}/{pid}/stat"))
            walked.parents[pid] = int(stat[1])
            walked.stats[pid] = stat
        except procfs.GONE:
            self.counts.vanished += 1
        except (OSError, ValueError):
            self._unreadable(pid, walked)
        else:
            if pid in known:
                self._io(pid, walked)

    def _unreadable(self, pid: int, walked: Walked) -> None:
        self.counts.unreadable += 1
        walked.unreadable.add(pid)

    def _io(self, pid: int, walked: Walked) -> None:
        """Note it; zeros where it is not ours to read, nothing when the process has ended."""
        try:
            walked.io[pid] = procfs.io_of(procfs.read(f"{self._proc}/{pid}/io"))
        except procfs.GONE:
            return
        except (OSError, ValueError):
            self.counts.unreadable += 1
            walked.io[pid] = 0, 0

    def _chosen(self, walked: Walked) -> list[int]:
        """Those that count, parents first: a parent is older than its children."""
        ages = {}
        for pid in walked.keys:
            try:
                ages[pid] = procfs.start_of(walked.stats[pid]), pid
            except ValueError:
                self._unreadable(pid, walked)
        chosen = sorted(ages, key=ages.__getitem__)
        self.counts.cut += max(0, len(chosen) - MAX_MEMBERS)
        return chosen[:MAX_MEMBERS]

    async def _member(self, pid: int, walked: Walked, network: Network, pace: Pace) -> Sighting | None:
        try:
            self._complete(pid, walked)
            swap = procfs.swap_of(procfs.read(f"{self._proc}/{pid}/status")) if self._swap else 0
            fds = await self._descriptors.count(pid, network, pace)
            key, stat, io = walked.keys[pid], walked.stats[pid], walked.io[pid]
            return procfs.sighting(pid, key, stat, io, swap=swap, fds=fds)
        except procfs.GONE:
            self.counts.vanished += 1
        except (OSError, ValueError):
            self._unreadable(pid, walked)
            network.complete = False
        return None

    def _complete(self, pid: int, walked: Walked) -> None:
        """Read what the walk has not, or has too early; ProcessLookupError when the process has ended meanwhile."""
        if walked.parents[pid] in walked.keys and walked.parents[pid] > pid:
            walked.stats[pid] = procfs.stat_of(procfs.read(f"{self._proc}/{pid}/stat"))
            walked.io.pop(pid, None)
        if pid not in walked.io:
            self._io(pid, walked)
        if pid not in walked.io:
            raise ProcessLookupError(pid)

    def _text(self, name: str) -> bytes:
        with suppress(OSError):  # a kernel without it
            return procfs.read(f"{self._proc}/{name}")
        return b""


def _lives(one: Sighting, walked: Walked) -> bool:
    with suppress(KeyError, ValueError):
        return procfs.start_of(walked.stats[one.pid]) == one.start
    return False


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
