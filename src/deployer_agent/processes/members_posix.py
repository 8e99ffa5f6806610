"""Everything that a job started, wherever it went: counted, signalled, ended (`plan.Ender`)."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from deployer_agent.processes import cgroups_posix, newcomers_posix, proc_posix, sightings_posix
from deployer_agent.processes.plan import Footprint

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

ROUNDS: Final = 20
"""How often in one call we look for what was forked while we ended the others."""


class Members:
    """Finds everything that belongs to a process: by its cgroup, and by what `Sightings` knows."""

    def __init__(
        self,
        cgroups: cgroups_posix.Cgroups | None = None,
        proc: proc_posix.Proc | None = None,
        ticks: Callable[[], int] | None = None,
    ) -> None:
        self._cgroups = cgroups
        self._proc = proc or proc_posix.Proc()
        self._boot = self._proc.boot()
        self._sightings = sightings_posix.Sightings(self._proc, ticks, guess=cgroups is None)

    def started(self, footprint: Footprint) -> None:
        """Know of a process that this agent has started, so that orphans can be told apart."""
        self._sightings.started(footprint)

    def look(self) -> None:
        """Remember who belongs to what runs: to be called about every second where there are no cgroups."""
        self._sightings.look()

    def members(self, footprint: Footprint) -> list[int]:
        """Who is left, zombies excepted."""
        return [stat.pid for stat in self._members(footprint)]

    def seen(self, footprint: Footprint) -> list[int]:
        """Who belonged to it at the last look, the first process and who is in its cgroup now."""
        return sorted({footprint.pid, *self._sightings.seen(footprint), *self._in_group(footprint)})

    def signal(self, footprint: Footprint, number: int) -> int:
        """Signal all that are left and return how many they are. KILL goes on until nobody new appears."""
        if number == signal.SIGKILL:
            return self._kill(footprint)
        return sum(self._send(stat, number) for stat in self._members(footprint))

    def memory(self, footprint: Footprint) -> int:
        """Resident bytes of all that are left; what they share counts for each."""
        return sum(map(self._proc.resident, self._in_group(footprint) or self.members(footprint)))

    def over_memory(self, footprint: Footprint) -> bool:
        """Whether the kernel ended one of them because the group was over its memory limit."""
        name = footprint.cgroup
        return name is not None and self._cgroups is not None and self._cgroups.over_memory(name)

    def forget(self, footprint: Footprint) -> None:
        """Let go of what was kept for it: what was seen of it, and its cgroup as soon as that is empty."""
        self._sightings.forget(footprint)
        if footprint.cgroup is not None and self._cgroups is not None:
            self._cgroups.remove(footprint.cgroup)

    def _kill(self, footprint: Footprint) -> int:
        """Who can be kept from starting others by no cgroup is stopped first."""
        frozen, ended = self._frozen(footprint), set[tuple[int, int]]()
        for _ in range(ROUNDS):
            stopped = set() if frozen else newcomers_posix.stop_newcomers(self._proc, self._sightings.children)
            new = [stat for stat in self._members(footprint) if (stat.pid, stat.start) not in ended]
            for number in [signal.SIGKILL] if frozen else [signal.SIGSTOP, signal.SIGKILL]:
                for stat in new:
                    self._send(stat, number)
            newcomers_posix.let_go(stopped - {stat.pid for stat in new})
            ended.update((stat.pid, stat.start) for stat in new)
            if not new:
                break
        return len(ended)

    def _frozen(self, footprint: Footprint) -> bool:
        if footprint.cgroup is None or self._cgroups is None:
            return False
        return footprint.boot == self._boot and self._cgroups.freeze(footprint.cgroup)

    def _send(self, stat: proc_posix.Stat, number: int) -> int:
        """Signal this very process, not another that has its number now; 1 when it was there."""
        with suppress(ProcessLookupError, PermissionError):
            handle = _handle(stat.pid)
            try:
                now = self._proc.stat(stat.pid)
                if now is not None and now.start == stat.start and now.alive:
                    _signal(handle, stat.pid, number)
                    return 1
            finally:
                if handle is not None:
                    os.close(handle)
        return 0

    def _members(self, footprint: Footprint) -> list[proc_posix.Stat]:
        if footprint.boot != self._boot:
            return []
        return self._sightings.of(footprint, self._in_group(footprint))

    def _in_group(self, footprint: Footprint) -> list[int]:
        if footprint.cgroup is None or self._cgroups is None or footprint.boot != self._boot:
            return []
        return self._cgroups.members(footprint.cgroup)


def _handle(pid: int) -> int | None:
    """Hold on to a process, so that its number stays its own; None where the system does not offer that."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:  # before Linux 5.3, or forbidden in a container
        return None


def _signal(handle: int | None, pid: int, number: int) -> None:
    if handle is None:
        os.kill(pid, number)
    else:
        signal.pidfd_send_signal(handle, number)
