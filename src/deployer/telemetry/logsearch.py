"""Searching all logs of a company, page by page: streams are merged by the time at which messages came to the master.

The newest first, a stream is read only once its last entry is due, so that a page at the tail costs the streams that
spoke last. The oldest first, all that can have something are read from the beginning of the time asked for.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Final, Literal

from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults

from deployer.errors import MalformedError
from deployer.stores.logs import LogEntry, Logs
from deployer.telemetry.loglines import Filter, Line, Named, Place, lines, named

A_READ: Final = 4
"""Entries of a stream read at once: each has up to some hundred kB."""
STREAMS: Final = 10_000
TOGETHER: Final = 5000
"""So many streams are read side by side."""
AT_ONCE: Final = 16
HELD_BYTES: Final = 16 * 1024 * 1024
"""What is read of streams that are not due yet; beyond that only the place is kept, and it is read again."""
ENTRIES_A_PAGE: Final = 4000
BYTES_A_PAGE: Final = 48 * 1024 * 1024
"""So much is looked at for one page: one of what is rare may be short, or empty, and go on."""

_MANY: Final = (
    f"more than {TOGETHER} logs would have to be read side by side: say a domain and a name, a job, or another time"
)

Order = Literal["asc", "desc"]


class Wanted(Struct, frozen=True, kw_only=True):
    """What is asked for. Times in epoch ms of the master's Redis, `since` inclusive, `until` exclusive."""

    filter: Filter
    since: int = 0
    until: int | None = None
    after: Place | None = None
    order: Order = "desc"
    count: int = 100


class Found(Struct, frozen=True):
    """Lines in the order asked for; `next`: from where to go on, None at the end. `left_out` of these streams."""

    lines: list[Line]
    next: Place | None
    left_out: int


class _Reader:
    """One stream from one end to the other; `head` is the id of the next entry, None at its end."""

    def __init__(self, logs: Logs, its: Named, span: tuple[str, str], order: Order) -> None:
        self.id: str | None = None
        self.its = its
        self._logs = logs
        self._first, self._last = span
        self._order = order
        self._held: deque[LogEntry] = deque()
        self._is_done = False

    @property
    def size(self) -> int:
        """The bytes that are held."""
        return sum(len(one.messages) for one in self._held)

    async def head(self) -> str | None:
        """Look at the next entry."""
        if not self._held and not self._is_done:
            read = await self._logs.entries(self.its.stream, self._first, self._last, A_READ, self._order)
            self._is_done = len(read) < A_READ
            self._held.extend(read)
            if read:
                self._go_on_from(f"({read[-1].id}")
        self.id = self._held[0].id if self._held else None
        return self.id

    def put_back(self) -> None:
        """Hold nothing: it is read again when it is due."""
        if self.id is not None:
            self._held.clear()
            self._is_done = False
            self._go_on_from(self.id)

    def _go_on_from(self, place: str) -> None:
        if self._order == "asc":
            self._first = place
        else:
            self._last = place

    async def take(self) -> LogEntry | None:
        """Go on; None when what was put back is not there any more."""
        due = self.id
        if await self.head() != due:
            return None
        return self._held.popleft()


class LogSearch:
    """Finds messages."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    async def page(self, company: str, wanted: Wanted) -> Found:
        """The next `count` messages; MalformedError when too many streams would have to be read side by side."""
        its = await self._streams(company, wanted)
        page = _Page(self._logs, wanted)
        found = await (page.down(its) if wanted.order == "desc" else page.up(its))
        left = await self._logs.left_out(company, page.streams)
        return Found(found, page.next, left)

    async def _streams(self, company: str, wanted: Wanted) -> list[tuple[Named, int]]:
        """Those that can have something, each with when it last grew, the newest first."""
        since = wanted.since
        if wanted.order == "asc" and wanted.after is not None:
            since = max(since, wanted.after.ms)
        known = [(named(stream), at) for stream, at in await self._logs.streams(company, since, STREAMS)]
        its = [(one, at) for one, at in known if one is not None and wanted.filter.takes_stream(one)]
        if wanted.order == "asc" and len(its) > TOGETHER:
            raise MalformedError(_MANY)
        return its


_Heap = list[tuple[tuple[int, int, str, int], _Reader]]
"""Streams by their next entries; a number of its own tells two apart whose marks are the same."""


class _Page:
    """One page in the making."""

    def __init__(self, logs: Logs, wanted: Wanted) -> None:
        self._logs = logs
        self._wanted = wanted
        self._entries = 0
        self._bytes = 0
        self._held = 0
        self._lines: list[Line] = []
        self.streams: list[str] = []
        self.next: Place | None = None

    async def down(self, its: Sequence[tuple[Named, int]]) -> list[Line]:
        """The newest first."""
        after, until = self._wanted.after, self._wanted.until
        last = "+" if until is None else f"({until}-0"
        if after is not None and (until is None or after.ms < until):
            last = f"{after.ms}-{after.number}"
        heap: _Heap = []
        waiting = deque(its)
        while True:
            due = [waiting.popleft()[0] for _ in range(_due(waiting, heap))]
            await self._open(heap, due, (str(self._wanted.since), last))
            if not due and (not heap or self._is_over(heap[0][1])):
                return self._lines
            if not due:
                await self._step(heap)

    async def up(self, its: Sequence[tuple[Named, int]]) -> list[Line]:
        """The oldest first."""
        after, until = self._wanted.after, self._wanted.until
        first = str(self._wanted.since)
        if after is not None and after.ms >= self._wanted.since:
            first = f"{after.ms}-{after.number}"
        heap: _Heap = []
        await self._open(heap, [one for one, _ in its], (first, "+" if until is None else f"({until}-0"))
        while heap and not self._is_over(heap[0][1]):
            await self._step(heap)
        return self._lines

    async def _open(self, heap: _Heap, its: Sequence[Named], span: tuple[str, str]) -> None:
        """Read the beginnings of streams, many in one round trip."""
        if len(self.streams) + len(its) > TOGETHER:
            raise MalformedError(_MANY)
        readers = [_Reader(self._logs, one, span, self._wanted.order) for one in its]
        self.streams += [one.stream for one in its]
        for first in range(0, len(readers), AT_ONCE):
            some = readers[first : first + AT_ONCE]
            await gatherResults([Deferred.fromCoroutine(reader.head()) for reader in some], consumeErrors=True)
            for reader in some:
                self._hold(reader)
                self._push(heap, reader)

    def _hold(self, reader: _Reader, before: int = 0) -> None:
        """Count in what a reader holds more than before, and have it put back what finds no room."""
        self._held += reader.size - before
        if self._held > HELD_BYTES:
            self._held -= reader.size
            reader.put_back()

    def _push(self, heap: _Heap, reader: _Reader) -> None:
        if reader.id is not None:
            ms, _, number = reader.id.partition("-")
            sign, mark = (-1, _turned(reader.its.mark)) if self._wanted.order == "desc" else (1, reader.its.mark)
            heapq.heappush(heap, ((sign * int(ms), sign * int(number), mark, id(reader)), reader))

    async def _step(self, heap: _Heap) -> None:
        _, reader = heapq.heappop(heap)
        before = reader.size
        entry = await reader.take()
        if entry is not None:
            self._look(reader, entry)
        await reader.head()
        self._hold(reader, before)
        self._push(heap, reader)

    def _look(self, reader: _Reader, entry: LogEntry) -> None:
        self._entries += 1
        self._bytes += len(entry.messages)
        found = list(lines(reader.its, entry, self._wanted.filter))
        if self._wanted.order == "desc":
            found.reverse()
        self._lines += [one for one in found if self._is_behind(one.at)]
        if len(self._lines) > self._wanted.count:
            del self._lines[self._wanted.count :]
            self.next = self._lines[-1].at

    def _is_behind(self, at: Place) -> bool:
        after = self._wanted.after
        if after is None:
            return True
        return at < after if self._wanted.order == "desc" else at > after

    def _is_over(self, following: _Reader) -> bool:
        """Whether the page is full, or enough was looked at: the next one begins where this one ends."""
        if self.next is not None:
            return True
        if self._entries < ENTRIES_A_PAGE and self._bytes < BYTES_A_PAGE:
            return False
        ms, _, number = str(following.id).partition("-")
        edge = 2**31 if self._wanted.order == "desc" else -1
        mark = following.its.mark
        self.next = Place(int(ms), int(number), mark, edge) if edge > 0 else _before(int(ms), int(number), mark)
        return True


def _due(waiting: "deque[tuple[Named, int]]", heap: _Heap) -> int:
    """How many of those that wait may have something newer than what is at hand."""
    newest = -heap[0][0][0] if heap else None
    if newest is None:
        return min(AT_ONCE, len(waiting))
    return sum(1 for _ in takewhile(lambda one: one[1] >= newest, islice(waiting, AT_ONCE)))


def _before(ms: int, number: int, mark: str) -> Place:
    """Just in front of an entry: behind all others that come before it."""
    return Place(ms, number, f"{int(mark, 16) - 1:08x}", 2**31) if int(mark, 16) else Place(ms, number, "00000000", 0)


def _turned(mark: str) -> str:
    """A text that sorts the other way round."""
    return f"{0xFFFFFFFF - int(mark, 16):08x}"
