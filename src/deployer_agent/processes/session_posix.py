"""Everything that a job started: the processes of its session, found in /proc, and signals to them."""

import contextlib
import os
import signal
import sys
from pathlib import Path

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to skip this module there)

_SESSION_FIELD = 3  # of /proc/<pid>/stat behind the name: state ppid pgrp session


def members(session: int) -> list[int]:
    """The processes of a session, whoever their parent is."""
    return [
        int(name)
        for name in os.listdir("/proc")  # noqa: PTH208 (a Path for each would cost more than the rest)
        if name.isdigit() and _session(name) == session
    ]


def terminate(session: int) -> int:
    """Ask a whole session to end; how many processes it had."""
    return send(session, signal.SIGTERM)


def kill(session: int) -> int:
    """End a whole session; how many processes it had."""
    return send(session, signal.SIGKILL)


def send(session: int, number: signal.Signals) -> int:
    """Signal a whole session; how many processes it had."""
    if session <= 1:
        raise ValueError(f"{session} is no session of a job")
    found = members(session)
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return len(found)


def _session(pid: str) -> int | None:
    try:
        stat = Path("/proc", pid, "stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] == b"Z" else int(fields[_SESSION_FIELD])
