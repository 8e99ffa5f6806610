"""Buries what jobs left behind and the agent has adopted, once it has ended."""

import os
import sys
from contextlib import suppress

from twisted.internet import process

from deployer_agent.processes import proc_posix

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)


def reap_orphans(proc: proc_posix.Proc | None = None) -> int:
    """Bury adopted processes that have ended; returns how many. Twisted's children are left to Twisted.

    Those in our own session too: a job's never are, what other parts of the program started themselves is.
    """
    here = proc or proc_posix.Proc()
    own, buried = os.getsid(0), 0
    for pid in here.children():
        if pid not in process.reapProcessHandlers:
            stat = here.stat(pid)
            if stat is not None and not stat.alive and stat.session != own:
                buried += _bury(pid)
    return buried


def _bury(pid: int) -> int:
    with suppress(ChildProcessError):
        return int(os.waitpid(pid, os.WNOHANG)[0] == pid)
    return 0
