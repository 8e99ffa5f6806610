"""What a job may use: the names of prlimit(1), and how a shell's `ulimit` sets them. Pure."""

from collections.abc import Mapping
from typing import Final

RESOURCES: Final[Mapping[str, tuple[str, int]]] = {
    "as": ("-v", 1024),
    "core": ("-c", 512),
    "cpu": ("-t", 1),
    "data": ("-d", 1024),
    "fsize": ("-f", 512),
    "memlock": ("-l", 1024),
    "nofile": ("-n", 1),
    "nproc": ("-u", 1),
    "stack": ("-s", 1024),
}
"""Limits of each process: the option of `ulimit` and its unit in bytes, seconds or pieces (POSIX: blocks of 512)."""

GROUP: Final = frozenset({"pids", "memory"})
"""Limits of everything that the task started together: pieces and bytes, by cgroup."""

NAMES: Final = GROUP | RESOURCES.keys()
MAX: Final = 2**62


def options(limits: Mapping[str, int]) -> list[str]:
    """Return option and value for each limit of a process, rounded up to the units of `ulimit`."""
    words = []
    for name, value in sorted(limits.items()):
        if name in RESOURCES:
            option, unit = RESOURCES[name]
            words += [option, str(-(-value // unit))]
    return words
