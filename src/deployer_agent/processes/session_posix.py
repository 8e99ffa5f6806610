"""Everything that a process started and that stayed in its session, found in /proc and ended."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

_SESSION_FIELD: Final = 3  # of /proc/PID/stat, counted after the name in parentheses
_STATE_FIELD: Final = 0


class SessionEnder:
    """Signals whole sessions."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def signal(self, footprint, number):
        members = self.members(footprint)
        for pid in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return len(members)

    def members(self, footprint):
        return [pid for pid, its in self._sessions() if its == footprint.pid] if footprint.pid > 0 else []

    def memory(self, footprint):
        return 0

    def over_memory(self, footprint):
        return False

    def forget(self, footprint):
        pass

    def _sessions(self) -> Iterator[tuple[int, int]]:
        for name in os.listdir(self._proc):  # noqa: PTH208 (Path.iterdir costs five times as much)
            if name.isdigit():
                session = self._session_of(name)
                if session:
                    yield int(name), session

    def _session_of(self, pid: str) -> int:
        """The session of a process; 0 for one that is gone or a zombie."""
        try:
            text = (self._proc / pid / "stat").read_bytes()
        except OSError:
            return 0
        fields = text[text.rfind(b")") + 2 :].split(maxsplit=_SESSION_FIELD + 1)
        return 0 if fields[_STATE_FIELD] in {b"Z", b"X"} else int(fields[_SESSION_FIELD])
