"""How far a job on many hosts is: one line on stderr that is painted over, on a terminal only."""

import shutil
import sys
from collections.abc import Mapping
from typing import Final

from deployer.cli.output import one_line
from deployer.client.records import Job

_FAILED: Final = ("ERROR", "TIMEOUT", "KILLED")
_WAITING: Final = ("BLOCKED", "QUEUED", "SENT")
_WIPE: Final = "\r\x1b[K"


class Progress:
    """`shown`: whether anybody wants it."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._there = False

    def show(self, job: Job, trouble: str = "") -> None:
        """Paint it."""
        if self._shown:
            text = in_words(job.counts) + (f"; {one_line(trouble)}" if trouble else "")
            sys.stderr.write(_WIPE + text[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()
            self._there = True

    def clear(self) -> None:
        """Wipe it away."""
        if self._there:
            sys.stderr.write(_WIPE)
            sys.stderr.flush()
            self._there = False


def in_words(counts: Mapping[str, int], unstarted: int = 0) -> str:
    """`37 OK, 1 failed, 3 running, 1 waiting`: what there is of it, and always how many are OK. Pure.

    `unstarted`: so many of those that failed never began.
    """
    parts = [
        (counts.get("OK", 0), "OK"),
        (sum(counts.get(state, 0) for state in _FAILED) - unstarted, "failed"),
        (unstarted, "not started"),
        (counts.get("RUNNING", 0), "running"),
        (sum(counts.get(state, 0) for state in _WAITING), "waiting"),
    ]
    return ", ".join(f"{count} {what}" for count, what in parts if count or what == "OK")
