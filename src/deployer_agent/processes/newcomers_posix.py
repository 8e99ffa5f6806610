"""Orphans that keep forking: each is gone before a look at /proc is over, so that none is ever found and signalled.

Such a one comes to us (a subreaper) when its parent ends, and keeps its number until we bury it: that makes it safe to
signal by number, and our own children are listed much faster than /proc. Only where no cgroup holds the job.
"""

import os
import signal
import sys
import time
from collections.abc import Container, Iterable
from contextlib import suppress
from typing import Final

from deployer_agent.processes import proc_posix, reaper_posix

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

QUIET_S: Final = 0.003
"""So long nobody new, and nobody forks faster than /proc is read."""

MOST_S: Final = 0.03
"""So long at most in one call: the reactor waits meanwhile."""


def stop_newcomers(proc: proc_posix.Proc, ours: Container[int]) -> set[int]:
    """Stop orphans as they come, whosever they are, and return their numbers. `ours`: whom Twisted started."""
    dead = reaper_posix.reap_orphans(proc)  # they make the list long and the look slow
    known, stopped = {pid for pid in proc.children() if pid not in ours}, set[int]()
    begun = heard = now = time.monotonic()
    while (dead or known) and now < min(heard + QUIET_S, begun + MOST_S):
        new = {pid for pid in proc.children() if pid not in known and pid not in ours}
        _send(new, signal.SIGSTOP)
        known |= new
        stopped |= new
        now = time.monotonic()
        heard = now if new else heard
    return stopped


def let_go(pids: Iterable[int]) -> None:
    """Those that were another's go on."""
    _send(pids, signal.SIGCONT)


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
