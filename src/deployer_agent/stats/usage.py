"""What processes consume, as numbers that can be added. Pure."""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class Usage(Struct, frozen=True):
    """Of one process, or of several together. `cpu_s`: seconds of processor time since it began; sizes in bytes."""

    cpu_s: float = 0.0
    rss: int = 0
    vms: int = 0
    swap: int = 0
    threads: int = 0
    fds: int = 0
    read_bytes: int = 0
    write_bytes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cpu_s + other.cpu_s,
            self.rss + other.rss,
            self.vms + other.vms,
            self.swap + other.swap,
            self.threads + other.threads,
            self.fds + other.fds,
            self.read_bytes + other.read_bytes,
            self.write_bytes + other.write_bytes,
        )


Readings = Mapping[tuple[int, int], Usage]
"""What was read at one time, by pid and start."""


def total(usages: Iterable[Usage]) -> Usage:
    """All together."""
    summed = Usage()
    for usage in usages:
        summed += usage
    return summed


def cpu_percent(before: Readings, after: Readings, passed_s: float) -> float:
    """The share of one cpu in percent between two readings.

    What is new counts with all that it has used; what has ended in between is not seen any more.
    """
    used = sum(usage.cpu_s - before.get(key, Usage()).cpu_s for key, usage in after.items())
    return round(max(0.0, used) / passed_s * 100, 2) if passed_s > 0 else 0.0
