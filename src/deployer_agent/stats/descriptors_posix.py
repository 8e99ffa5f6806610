"""What processes hold open: how many descriptors, which sockets, and the counters of other network namespaces.

A socket is known by its inode, which the links in /proc/PID/fd tell and by which `sockets_posix` finds what it has
carried. That works in our own network namespace only; of any other one (containers) the interfaces are summed in place
of its sockets, without the loopback, once for each key.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from deployer_agent.stats import procfs_posix as procfs
from deployer_agent.stats import sockets_posix
from deployer_agent.stats.pace import Pace
from deployer_agent.stats.source import Counts, Network

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

MAX_DESCRIPTORS: Final = 4096
"""The most descriptors of one process that are looked at for sockets."""

_SOCKET: Final = "socket:["
_BATCH: Final = 256


class Descriptors:
    """Looks at one process after the other, then asks for all their sockets together."""

    def __init__(self, proc: str, counts: Counts, sockets: sockets_posix.Sockets | None = None) -> None:
        self.sockets = sockets or sockets_posix.Sockets()
        self._proc = proc
        self._counts = counts
        self._own = _link(f"{proc}/self/ns/net")
        self._tables: list[sockets_posix.Table] = []

    def begin(self) -> None:
        """Before each round: see which kinds of sockets there are at all."""
        try:
            used = self._in_use(f"{self._proc}/net")
        except OSError:
            used = dict.fromkeys(sockets_posix.TABLES, 1)
        self._tables = [table for name, table in sockets_posix.TABLES.items() if used.get(name)]

    async def count(self, pid: int, network: Network, pace: Pace) -> int:
        """How many the process has; its sockets and its namespace go into `network`. FileNotFoundError: it is gone."""
        folder = f"{self._proc}/{pid}/fd"
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in islice(entries, MAX_DESCRIPTORS + 1)]
            self._space(pid, network)
        except procfs.GONE:
            raise
        except OSError:
            self._counts.unreadable += 1
            network.complete = False
            return 0
        links = [f"{folder}/{name}" for name in names[:MAX_DESCRIPTORS]] if self._tables else []
        for begin in range(0, len(links), _BATCH):
            network.held.update(_sockets(links[begin : begin + _BATCH]))
            if pace.spent:
                await pace.rest()
        if len(names) <= MAX_DESCRIPTORS:
            return len(names)
        self._counts.cut += 1
        network.complete = False
        return max(MAX_DESCRIPTORS, os.stat(folder).st_size)  # noqa: PTH116 (faster); their number since Linux 6.2

    async def ask(self, networks: Mapping[str, Network], pace: Pace) -> None:
        """Put what the kernel tells of the sockets into `networks`."""
        wanted: set[int] = set().union(*(network.held for network in networks.values()))
        if not wanted:
            return
        cut = self.sockets.cut
        found, complete = await self.sockets.find(wanted, self._tables, pace)
        self._counts.cut += self.sockets.cut - cut
        for network in networks.values():
            network.complete = network.complete and complete
            for inode in network.held & found.keys():
                network.sockets[inode, found[inode].cookie] = found[inode].carried
                network.connections += 1

    def _space(self, pid: int, network: Network) -> None:
        """Note the counters of its network namespace, unless it is ours or has been noted; a zombie has none."""
        space = _link(f"{self._proc}/{pid}/ns/net")
        if space in {"", self._own} or space in network.spaces:
            return
        folder = f"{self._proc}/{pid}/net"
        network.spaces[space] = procfs.carried(procfs.read(f"{folder}/dev", procfs.MANY))
        network.connections += sum(self._in_use(folder).values())

    def _in_use(self, folder: str) -> dict[str, int]:
        used = procfs.in_use(procfs.read(f"{folder}/sockstat"))
        with suppress(FileNotFoundError):  # a kernel without IPv6
            used |= procfs.in_use(procfs.read(f"{folder}/sockstat6"))
        return used


def _sockets(links: list[str]) -> list[int]:
    """The inodes of the sockets among these descriptors."""
    try:
        found = list(map(os.readlink, links))
    except OSError:  # one was closed meanwhile
        found = list(map(_link, links))
    return [int(link[len(_SOCKET) : -1]) for link in found if link.startswith(_SOCKET)]


def _link(path: str) -> str:
    """Where it leads; empty where there is none, or none any more."""
    try:
        return os.readlink(path)  # noqa: PTH115 (Path costs five times as much)
    except OSError:
        return ""
