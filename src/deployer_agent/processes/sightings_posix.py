"""Which processes belong to which job: what /proc shows now, and what it showed before.

To a job belong: who is in its session; who has its DEPLOYER_RUN in the environment; who was seen to belong to it; and
all children of these. An orphan that came to the agent (a subreaper) and shows none of that belongs to a job when no
other can have started it, by the times: neither one that runs nor one that is over and of which something may live.
"""

import os
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from twisted.internet import process

from deployer_agent.processes import past, proc_posix
from deployer_agent.processes.plan import Footprint

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

_HERTZ: Final = os.sysconf("SC_CLK_TCK")


class Snapshot:
    """All processes at one time, by what they are looked for."""

    def __init__(self, stats: Iterable[proc_posix.Stat]) -> None:
        self.stats: dict[int, proc_posix.Stat] = {}
        self.children: dict[int, list[proc_posix.Stat]] = {}
        self.sessions: dict[int, list[proc_posix.Stat]] = {}
        for stat in stats:
            self.stats[stat.pid] = stat
            self.children.setdefault(stat.parent, []).append(stat)
            self.sessions.setdefault(stat.session, []).append(stat)

    def has(self, pid: int, start: int) -> bool:
        """Whether this very process is there."""
        stat = self.stats.get(pid)
        return stat is not None and stat.start == start

    def session(self, footprint: Footprint) -> list[proc_posix.Stat]:
        """Who is in the session; nobody when its number is another process's now."""
        leader = self.stats.get(footprint.pid)
        if leader is not None and leader.start != footprint.start:
            return []
        return [stat for stat in self.sessions.get(footprint.pid, ()) if stat.start >= footprint.start]

    def family(self, first: Iterable[proc_posix.Stat]) -> list[proc_posix.Stat]:
        """Return these with all their descendants."""
        found: dict[int, proc_posix.Stat] = {}
        waiting = list(first)
        while waiting:
            stat = waiting.pop()
            if stat.pid not in found:
                found[stat.pid] = stat
                waiting += self.children.get(stat.pid, ())
        return list(found.values())


class Sightings:
    """What is known of the jobs of this agent, and of earlier ones by their footprints.

    `ticks`: the time in clock ticks since the boot. `children`: the numbers of those that Twisted started for us.
    `guess`: whether orphans are told apart by the times; where a cgroup holds every job there is no need to.
    """

    def __init__(
        self,
        proc: proc_posix.Proc,
        ticks: Callable[[], int] | None = None,
        children: Callable[[], Container[int]] = lambda: process.reapProcessHandlers,
        *,
        guess: bool = True,
    ) -> None:
        self._proc = proc
        self._children = children
        self._ticks = ticks or _ticks_of_boot
        self._guess = guess
        self._markers: dict[past.Key, str] = {}
        self._bearers: dict[str, list[proc_posix.Stat]] = {}
        self._adopted: dict[str | None, list[proc_posix.Stat]] = {}
        self._running: dict[str, Footprint] = {}
        self._seen: dict[str, set[past.Key]] = {}
        self._past = past.Past()

    def started(self, footprint: Footprint) -> None:
        """Know of a process that this agent has started."""
        self._running[footprint.marker] = footprint

    def forget(self, footprint: Footprint) -> None:
        """Know only when it ran."""
        seen = self._seen.pop(footprint.marker, set())
        begun = self._running.pop(footprint.marker, None)
        if begun is not None and self._guess:
            self._past.add(begun, seen)

    def look(self) -> None:
        """Remember who belongs to the jobs that run."""
        now = self._now()
        for footprint in self._running.values():
            self._family(footprint, now, ())

    def of(self, footprint: Footprint, inside: Iterable[int] = ()) -> list[proc_posix.Stat]:
        """Who belongs to a job and is no zombie. `inside`: the numbers of those who are known to."""
        return [stat for stat in self._family(footprint, self._now(), inside) if stat.alive]

    def seen(self, footprint: Footprint) -> list[int]:
        """The numbers of those who belonged to a running job at the last look."""
        return [pid for pid, _ in self._seen.get(footprint.marker, ())]

    @property
    def children(self) -> Container[int]:
        """The numbers of those that Twisted started for us."""
        return self._children()

    def _now(self) -> Snapshot:
        """Markers of processes that have one are read once, as a program that it starts may lose it."""
        now, before = Snapshot(self._proc.stats()), self._markers
        self._markers, self._bearers = {}, {}
        for stat in now.stats.values():
            marker = before.get(_key(stat)) or self._proc.marker(stat.pid)
            self._markers[_key(stat)] = marker
            if marker:
                self._bearers.setdefault(marker, []).append(stat)
        self._adopted = {}
        if self._guess:
            self._adopt(now)
        return now

    def _adopt(self, now: Snapshot) -> None:
        strays = [stat for stat in self._strays(now) if not any(_key(stat) in seen for seen in self._seen.values())]
        self._past.close(lambda over: self._lives(over, now, strays), self._ticks())
        for stat in strays:
            self._adopted.setdefault(self._only(stat), []).append(stat)

    def _lives(self, over: past.Over, now: Snapshot, strays: Iterable[proc_posix.Stat]) -> bool:
        """Whether something of a job that has ended is left, or may be."""
        known = [*now.session(over.footprint), *self._bearers.get(over.footprint.marker, ())]
        known += [now.stats[pid] for pid, start in over.seen if now.has(pid, start)]
        return any(stat.alive for stat in known) or any(stat.start >= over.footprint.start for stat in strays)

    def _family(self, footprint: Footprint, now: Snapshot, inside: Iterable[int]) -> list[proc_posix.Stat]:
        marker, own = footprint.marker, self._proc.pid()
        first = [stat for stat in now.session(footprint) if self._may_be(stat, footprint, now)]
        first += self._bearers.get(marker, ())
        first += [now.stats[pid] for pid, start in self._seen.get(marker, ()) if now.has(pid, start)]
        first += [stat for pid in inside if (stat := now.stats.get(pid) or self._proc.stat(pid))]
        first += self._adopted.get(marker, ())
        # not ourselves, when it was a job of an earlier agent that has started us
        found = now.family(stat for stat in first if stat.pid != own)
        if marker in self._running:
            self._seen[marker] = set(map(_key, found))
        return found

    def _may_be(self, stat: proc_posix.Stat, footprint: Footprint, now: Snapshot) -> bool:
        """A job can change its environment: while its first process lives, its session is its own.

        Only the mark of another job that runs takes a process out of it, never the first one.
        """
        marker = self._markers[_key(stat)]
        if stat.pid == footprint.pid or marker in {"", footprint.marker}:
            return True
        return footprint.pid in now.stats and marker not in self._running

    def _strays(self, now: Snapshot) -> Iterator[proc_posix.Stat]:
        """Orphans that came to us and about which nothing is known."""
        ours = now.stats.get(self._proc.pid())
        known = self._children()
        for stat in now.children.get(self._proc.pid(), ()):
            started = (
                stat.pid in known or stat.session in known
            )  # by ourselves, as a job or a terminal, and what is in it
            if ours and stat.session != ours.session and not started and not self._markers[_key(stat)]:
                yield stat

    def _only(self, stray: proc_posix.Stat) -> str | None:
        """The only one of our jobs that can have started it."""
        if self._past.can_have_started(stray.start):
            return None
        possible = [marker for marker, begun in self._running.items() if begun.start <= stray.start]
        return possible[0] if len(possible) == 1 else None


def _key(stat: proc_posix.Stat) -> past.Key:
    return stat.pid, stat.start


def _ticks_of_boot() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _HERTZ)
