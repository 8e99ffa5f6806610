"""What is seen of processes at one time, before anything is summed; and who sees it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from msgspec import Struct

from deployer_agent.stats.pace import Pace

Roots = Mapping[str, Sequence[int]]
"""The pids that are known to be processes of each key."""


class Sighting(Struct, frozen=True, gc=False):
    """One process. `pid` and `start` (seconds, on the scale of `Looked.now_s`) tell it from any other.

    `cpu_ms`: of its own; `waited_ms`: of the children that it has waited for. `faults`: page faults of these children,
    a number that stands still while it waits for none. `read_bytes`, `write_bytes`: its own and those of the children
    that it has waited for, which is how the kernel counts them. `alive`: not a zombie.
    """

    pid: int
    parent: int
    start: float
    key: str
    cpu_ms: int = 0
    waited_ms: int = 0
    faults: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    rss: int = 0
    vms: int = 0
    swap: int = 0
    threads: int = 0
    fds: int = 0
    alive: bool = True


SocketId = tuple[int, int]
"""Inode and cookie: the kernel gives an inode's number again, never the two together."""

Bytes = tuple[int, int]
"""Sent and received."""


class Network(Struct):
    """What the processes of one key hold of the network.

    `held`: the inodes of all their sockets; `sockets`: those of them that the kernel told of; `spaces`: the counters of
    network namespaces other than ours. `complete`: False when a process could not be asked, so that what is missing may
    come again.
    """

    held: set[int]
    sockets: dict[SocketId, Bytes]
    spaces: dict[str, Bytes]
    connections: int = 0
    complete: bool = True


class Looked(Struct, frozen=True):
    """One look at all keys. `unreadable`: pids that are there but could not be read. `now_s`: when it began."""

    sightings: Sequence[Sighting]
    unreadable: AbstractSet[int]
    networks: Mapping[str, Network]
    now_s: float


class Counts(Struct):
    """What could not be looked at, since the beginning.

    `vanished`: processes that ended while they were read; `unreadable`: files and folders of processes that could not
    be read; `cut`: processes with more descriptors than are looked at, and processes and sockets beyond the limits.
    """

    vanished: int = 0
    unreadable: int = 0
    cut: int = 0


class Source(Protocol):
    """Sees processes."""

    counts: Counts

    @property
    def refused(self) -> bool:
        """The system does not tell what connections carry."""

    async def look(self, roots: Roots, known: Mapping[int, Sighting], pace: Pace) -> Looked:
        """Look once; `known` are the processes that were seen before, by pid, with keys that are asked for."""
