"""What /proc tells of processes. psutil does the same and takes twenty times as long (DESIGN 11)."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from msgspec import Struct

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEAD = frozenset({"Z", "X", "x"})
_SMALL = 4096
_THREADS_FIELD = 17  # counted after the name in parentheses, which may itself hold any byte
_START_FIELD = 19  # as above
_RUN = b"DEPLOYER_RUN="


class Stat(Struct, frozen=True):
    """One process: `start` is in clock ticks since the boot and tells it from a later one of the same number."""

    pid: int
    state: str
    parent: int
    session: int
    start: int
    threads: int = 1

    @property
    def alive(self) -> bool:
        """Neither a zombie nor on its way out; one whose first thread has ended lives by the others."""
        return self.state not in _DEAD or self.threads > 1


class Proc:
    """The directory /proc; in tests another one."""

    def __init__(self, root: str = "/proc", pid: Callable[[], int] = os.getpid) -> None:
        self._root = root
        self.pid = pid

    def boot(self) -> str:
        """Return the id of this boot of the machine; empty where there is none."""
        return self._read("sys/kernel/random/boot_id").decode().strip()

    def stat(self, pid: int) -> Stat | None:
        """One process, zombies included; None when there is none of that number."""
        return parse_stat(self._read(f"{pid}/stat"))

    def stats(self) -> Iterator[Stat]:
        """Return all processes, zombies included."""
        for name in os.listdir(self._root):  # noqa: PTH208 (Path.iterdir costs five times as much)
            if name.isdigit() and (stat := parse_stat(self._read(f"{name}/stat"))):
                yield stat

    def marker(self, pid: int) -> str:
        """Return the value of DEPLOYER_RUN that the process was started with; empty without one."""
        for entry in self._read(f"{pid}/environ").split(b"\0"):
            if entry.startswith(_RUN):
                return entry[len(_RUN) :].decode("utf-8", "replace")
        return ""

    def resident(self, pid: int) -> int:
        """Return how many bytes of it are in memory; 0 when it is gone."""
        fields = self._read(f"{pid}/statm").split()
        return int(fields[1]) * _PAGE if len(fields) > 1 else 0

    def children(self) -> list[int]:
        """Return our own children, of all our threads; empty where the kernel does not list them."""
        own, found = self.pid(), b""
        with suppress(OSError):
            for thread in os.listdir(f"{self._root}/{own}/task"):  # noqa: PTH208 (as above)
                found += self._read(f"{own}/task/{thread}/children")
        return [int(pid) for pid in found.split()]

    def _read(self, name: str) -> bytes:
        """Return the whole file; empty when the process is gone or somebody else's."""
        try:
            handle = os.open(f"{self._root}/{name}", os.O_RDONLY)
        except OSError:
            return b""
        try:
            return _all_of(handle)
        except OSError:
            return b""
        finally:
            os.close(handle)


def parse_stat(text: bytes) -> Stat | None:
    """Read one line of /proc/PID/stat; None for anything else."""
    name_begin, name_end = text.find(b" ("), text.rfind(b") ")
    fields = text[name_end + 2 :].split()
    try:
        return Stat(
            pid=int(text[:name_begin]),
            state=fields[0].decode(),
            parent=int(fields[1]),
            session=int(fields[3]),
            start=int(fields[_START_FIELD]),
            threads=int(fields[_THREADS_FIELD]),
        )
    except (ValueError, IndexError):
        return None


def _all_of(handle: int) -> bytes:
    parts = []
    while part := os.read(handle, _SMALL * 16):
        parts.append(part)
        if len(part) < _SMALL // 2:
            break  # /proc gives about a page at a time where it gives less than was asked for
    return b"".join(parts)
