"""A folder that looks like /proc, for tests of what reads it."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

HERTZ = 100
T = TypeVar("T")


class FakeProc:
    """Processes as files; times in seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("net/sockstat", "sockets: used 1\nTCP: inuse 0 orphan 0\nUDP: inuse 0 mem 0\n")
        self.write("swaps", "Filename\tType\tSize\tUsed\tPriority\n")
        self.link("self/ns/net", "net:[1]")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def link(self, name: str, target: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def process(
        self,
        pid: int,
        parent: int = 1,
        *,
        name: str = "job",
        start: float = 1.0,
        state: str = "S",
        cpu: float = 0.0,
        waited: float = 0.0,
        faults: int = 0,
        read: int = 0,
        written: int = 0,
        rss_pages: int = 0,
        vms: int = 0,
        threads: int = 1,
        fds: tuple[str, ...] = (),
        space: str = "net:[1]",
    ) -> None:
        """Make one, or write down how it is now."""
        fields: list[Any] = [0] * 50
        fields[0], fields[1], fields[8] = state, parent, faults
        fields[11], fields[13] = int(cpu * HERTZ), int(waited * HERTZ)
        fields[17], fields[19], fields[20], fields[21] = threads, int(start * HERTZ), vms, rss_pages
        self.write(f"{pid}/stat", f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        self.write(f"{pid}/io", f"rchar: 1\nread_bytes: {read}\nwrite_bytes: {written}\ncancelled_write_bytes: 0\n")
        self.link(f"{pid}/ns/net", space)
        (self.folder / f"{pid}/fd").mkdir(exist_ok=True)
        for number, target in enumerate(fds):
            self.link(f"{pid}/fd/{number}", target)

    def end(self, pid: int) -> None:
        """Let it be gone."""
        folder = self.folder / str(pid)
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        folder.rmdir()


def finished(work: Coroutine[Any, Any, T], clock: Clock) -> T:
    """The result of work that only ever waits for its turn."""
    results: list[T | Failure] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    for _ in range(10_000):
        if results:
            break
        clock.advance(0)
    result = results[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result
