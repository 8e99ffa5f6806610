"""Sees processes by psutil, on any system. What one does not tell is 0, as are bytes carried by connections.

Nothing is known here of children that ended between two samples: their part is what was last seen of them.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psutil

from deployer_agent.stats.pace import Pace
from deployer_agent.stats.source import Counts, Looked, Network, Roots, Sighting

MAX_MEMBERS: Final = 16_384
_GONE: Final = (psutil.NoSuchProcess, psutil.ZombieProcess)


class PsutilSource:
    """Asks for the descendants of each root, then for each of them."""

    refused = True

    def __init__(self) -> None:
        self.counts = Counts()

    async def look(self, roots: Roots, known: Mapping[int, Sighting], pace: Pace) -> Looked:  # noqa: ARG002 (orphans are not found again here)
        """Look once."""
        now_s, families = time.time(), []
        for key, pids in roots.items():
            for pid in pids:
                families.append((key, _family(pid)))
                if pace.spent:
                    await pace.rest()
        networks = {key: Network(set(), {}, {}) for key in roots}
        found: list[Sighting] = []
        unreadable: set[int] = set()
        for key, process in self._chosen(families):
            try:
                found.append(_sighting(process, key))
                networks[key].connections += len(_or(lambda one=process: one.net_connections("inet"), ()))
            except _GONE:
                self.counts.vanished += 1
            except (psutil.Error, OSError):
                self.counts.unreadable += 1
                unreadable.add(process.pid)
            if pace.spent:
                await pace.rest()
        return Looked(found, unreadable, networks, now_s)

    def _chosen(self, families: list[tuple[str, list[psutil.Process]]]) -> list[tuple[str, psutil.Process]]:
        """Each process once: a root within another's family comes later and wins, being nearer."""
        families.sort(key=lambda family: -len(family[1]))
        chosen = {process.pid: (key, process) for key, family in families for process in family}
        chosen |= {process.pid: (key, process) for key, family in families for process in family[:1]}
        self.counts.cut += max(0, len(chosen) - MAX_MEMBERS)
        return list(chosen.values())[:MAX_MEMBERS]


def _family(pid: int) -> list[psutil.Process]:
    """The process and all that descend from it; nothing when it has ended."""
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _sighting(process: psutil.Process, key: str) -> Sighting:
    with process.oneshot():
        cpu, memory = process.cpu_times(), process.memory_info()
        io = _or(lambda: _tell(process, "io_counters"), None)
        return Sighting(
            pid=process.pid,
            parent=process.ppid(),
            start=process.create_time(),
            key=key,
            cpu_ms=int((cpu.user + cpu.system) * 1000),
            read_bytes=io.read_bytes if io else 0,
            write_bytes=io.write_bytes if io else 0,
            rss=memory.rss,
            vms=memory.vms,
            threads=process.num_threads(),
            fds=_or(lambda: _tell(process, "num_fds") or _tell(process, "num_handles") or 0, 0),
        )


def _tell(process: psutil.Process, name: str) -> Any:
    """Ask what only some systems have; None elsewhere."""
    return getattr(process, name)() if hasattr(process, name) else None


def _or(ask: Any, otherwise: Any) -> Any:
    """The answer, or that when we may not know; NoSuchProcess goes on."""
    with suppress(psutil.AccessDenied, NotImplementedError):
        return ask()
    return otherwise
