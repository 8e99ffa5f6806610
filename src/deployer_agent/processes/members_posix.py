"""Everything that a job started, wherever it went: found in its cgroup and in /proc, counted and signalled.

What belongs to a job: who is in its cgroup; who is in its session; who has its DEPLOYER_RUN in the environment; who was
seen to belong to it before; and all children of these. An orphan that came to the agent (a subreaper) and fits none of
that belongs to a job when no other could have started it, by the times.
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from deployer_agent.processes import cgroups_posix, proc_posix
from deployer_agent.processes.plan import Footprint

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

ROUNDS: Final = 20
"""How often in one call we look for what was forked while we ended the others."""

PAST: Final = 10_000
_HERTZ: Final = os.sysconf("SC_CLK_TCK")

Key = tuple[int, int]
"""Pid and start: no two processes of one boot have both the same."""


class Members:
    """Finds and signals everything that belongs to a process (`plan.Ender`)."""

    def __init__(
        self,
        cgroups: cgroups_posix.Cgroups | None = None,
        proc: proc_posix.Proc | None = None,
        ticks: Callable[[], int] | None = None,
    ) -> None:
        self._cgroups = cgroups
        self._proc = proc or proc_posix.Proc()
        self._ticks = ticks or _ticks_of_boot
        self._boot = self._proc.boot()
        self._markers: dict[Key, str] = {}
        self._seen: dict[str, set[Key]] = {}
        self._begun: dict[str, int] = {}
        self._past: deque[tuple[int, int]] = deque(maxlen=PAST)

    def started(self, footprint: Footprint) -> None:
        """Know of a process that this agent has started, so that orphans can be told apart."""
        self._begun[footprint.marker] = footprint.start

    def look(self) -> None:
        """Remember who belongs to what runs now: to be called now and then (a second), 5 ms for 500 processes."""
        stats = self._look()
        for marker in self._begun:
            self._remember(marker, [stat for stat in stats.values() if self._markers.get(_key(stat)) == marker], stats)

    def members(self, footprint: Footprint) -> list[int]:
        """Who is left, zombies excepted."""
        return [stat.pid for stat in self._members(footprint)]

    def signal(self, footprint: Footprint, number: int) -> int:
        """Signal all that are left and return how many they are. KILL goes on until nobody new appears."""
        if number == signal.SIGKILL:
            return self._kill(footprint)
        return sum(self._send(stat, number) for stat in self._members(footprint))

    def memory(self, footprint: Footprint) -> int:
        """Resident bytes of all that are left; what they share counts for each."""
        pids = self._in_group(footprint) or self.members(footprint)
        return sum(map(self._proc.resident, pids))

    def over_memory(self, footprint: Footprint) -> bool:
        """Whether the kernel ended one of them because the group was over its memory limit."""
        name = footprint.cgroup
        return name is not None and self._cgroups is not None and self._cgroups.over_memory(name)

    def forget(self, footprint: Footprint) -> None:
        """Let go of what was kept for it: what was seen of it, and its cgroup as soon as that is empty."""
        self._seen.pop(footprint.marker, None)
        begun = self._begun.pop(footprint.marker, None)
        if begun is not None:
            self._past.append((begun, self._ticks()))
        if footprint.cgroup is not None and self._cgroups is not None:
            self._cgroups.remove(footprint.cgroup)

    def _kill(self, footprint: Footprint) -> int:
        """Without a cgroup all are stopped first: who is stopped starts nobody new."""
        ended: set[Key] = set()
        self._freeze(footprint)
        for _ in range(ROUNDS):
            new = [stat for stat in self._members(footprint) if _key(stat) not in ended]
            if not new:
                break
            for number in (signal.SIGSTOP, signal.SIGKILL) if footprint.cgroup is None else (signal.SIGKILL,):
                for stat in new:
                    self._send(stat, number)
            ended.update(map(_key, new))
        return len(ended)

    def _freeze(self, footprint: Footprint) -> None:
        if footprint.cgroup is not None and self._cgroups is not None:
            self._cgroups.freeze(footprint.cgroup)

    def _send(self, stat: proc_posix.Stat, number: int) -> int:
        """Signal this very process, not another that has its number now; 1 when it was there."""
        with suppress(OSError):
            handle = os.pidfd_open(stat.pid)
            try:
                now = self._proc.stat(stat.pid)
                if now is not None and now.start == stat.start and now.alive:
                    signal.pidfd_send_signal(handle, number)
                    return 1
            finally:
                os.close(handle)
        return 0

    def _members(self, footprint: Footprint) -> list[proc_posix.Stat]:
        if footprint.boot != self._boot:
            return []
        stats = self._look()
        known = self._seen.get(footprint.marker, set())
        first = [stat for stat in stats.values() if self._belongs(stat, footprint, known, stats)]
        first += [stats[pid] for pid in self._in_group(footprint) if pid in stats]
        own = self._proc.pid()  # ourselves, when it was a job of an earlier agent that has started us
        found = self._remember(footprint.marker, [stat for stat in first if stat.pid != own], stats)
        return [stat for stat in found if stat.alive]

    def _belongs(
        self, stat: proc_posix.Stat, footprint: Footprint, known: set[Key], stats: dict[int, proc_posix.Stat]
    ) -> bool:
        marker = self._markers[_key(stat)]
        if _key(stat) in known or marker:
            return _key(stat) in known or marker == footprint.marker
        if stat.session == footprint.pid:
            leader = stats.get(footprint.pid)
            return stat.start >= footprint.start and (leader is None or leader.start == footprint.start)
        return self._orphaned_by(stat, stats) == footprint.marker

    def _orphaned_by(self, stat: proc_posix.Stat, stats: dict[int, proc_posix.Stat]) -> str | None:
        """The only one of our jobs that can have started an adopted orphan about which we know nothing else."""
        ours = stats.get(self._proc.pid())
        if ours is None or stat.parent != ours.pid or stat.session == ours.session:
            return None
        if stat.start < min(self._begun.values(), default=stat.start + 1):
            return None
        if any(_key(stat) in seen for seen in self._seen.values()):
            return None
        if any(begun <= stat.start <= ended for begun, ended in self._past):
            return None
        possible = [marker for marker, begun in self._begun.items() if begun <= stat.start]
        return possible[0] if len(possible) == 1 else None

    def _look(self) -> dict[int, proc_posix.Stat]:
        """All processes; the markers of those that are new are read, of the others remembered."""
        stats = {stat.pid: stat for stat in self._proc.stats()}
        before = self._markers
        self._markers = {
            key: before[key] if before.get(key) else self._proc.marker(key[0]) for key in map(_key, stats.values())
        }
        return stats

    def _remember(
        self, marker: str, first: Iterable[proc_posix.Stat], stats: dict[int, proc_posix.Stat]
    ) -> list[proc_posix.Stat]:
        """Add all descendants; what this agent started is kept in mind."""
        found = _with_descendants(first, stats)
        if marker in self._begun:
            self._seen[marker] = set(map(_key, found))
        return found

    def _in_group(self, footprint: Footprint) -> list[int]:
        if footprint.cgroup is None or self._cgroups is None:
            return []
        return self._cgroups.members(footprint.cgroup)


def _with_descendants(first: Iterable[proc_posix.Stat], stats: dict[int, proc_posix.Stat]) -> list[proc_posix.Stat]:
    children: dict[int, list[proc_posix.Stat]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat)
    found: dict[int, proc_posix.Stat] = {}
    waiting = list(first)
    while waiting:
        stat = waiting.pop()
        if stat.pid not in found:
            found[stat.pid] = stat
            waiting += children.get(stat.pid, ())
    return list(found.values())


def _key(stat: proc_posix.Stat) -> Key:
    return stat.pid, stat.start


def _ticks_of_boot() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _HERTZ)
