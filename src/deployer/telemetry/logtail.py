"""Live logs: one reader for all who follow a company's logs at this master; who is slow loses lines, and nobody else.

While somebody follows, streams that have grown are looked for five times a second, and read up to a moment that is
over: whatever comes later is stored behind it, so places only grow, and a follower goes on anywhere from its last one.
A line is encoded once, for all who get it.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import Clock, sleep
from deployer.kit.wake import LOOK_AGAIN_S, Hub
from deployer.stores.logs import LogEntry, Logs
from deployer.telemetry.loglines import Filter, Line, Named, Place, lines, named
from deployer.telemetry.logsearch import LogSearch, Wanted

LOOK_S: Final = 0.2
SETTLED_MS: Final = 5
"""So old is what is read: of a millisecond that is not over more may come."""
WINDOW_MS: Final = 1000
"""Read at once, of Redis' time: after a pause there may be far more than anybody wants to hold."""
A_READ: Final = 8
"""Entries of one stream: each has up to 256 kB."""
HELD_BYTES: Final = 1024 * 1024
"""What waits for one follower, by the length of its texts."""
CAUGHT_UP: Final = 1000
TURN_S: Final = 0.003
"""So long lines are shared without a pause."""
_ANY: Final = Filter()

Encode = Callable[[str, Line], bytes]
"""A company's line as it is sent."""


class Batch(Struct, frozen=True):
    """Lines as they are sent, and how many a slow follower has not got behind them."""

    lines: list[bytes]
    dropped: int = 0


class Follower:
    """One who follows. `dropped`: lines that it did not get since it last took some."""

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self._held: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._waiting: Deferred[None] | None = None

    def give(self, line: bytes) -> bool:
        """Hold a line for it; False when there is no room."""
        if self._size + len(line) > HELD_BYTES:
            self._dropped += 1
            return False
        self._held.append(line)
        self._size += len(line)
        return True

    def take(self) -> "Batch":
        """All that waits for it."""
        batch = Batch(list(self._held), self._dropped)
        self._held.clear()
        self._size = self._dropped = 0
        return batch

    @property
    def has_some(self) -> bool:
        """Whether something waits for it."""
        return bool(self._held or self._dropped)

    def wake(self) -> None:
        """There is something, or the end."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def wait(self, hub: Hub) -> None:
        """Until there is something, at most 15 s."""
        if self.has_some:
            return
        waiting: Deferred[None] = Deferred()
        self._waiting = waiting
        timer = hub.clock.callLater(LOOK_AGAIN_S, self.wake)
        try:
            await waiting
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()


class _Tail:
    """The reader of one company. `at`: all that is older (epoch ms of Redis) was given; `is_behind`: there is more."""

    def __init__(self, logs: Logs, company: str, at: int, encode: Encode, clock: Clock) -> None:
        self._clock = clock
        self._logs = logs
        self._encode = encode
        self._company = company
        self.at = at
        self.is_behind = False
        self.followers: set[Follower] = set()

    async def look(self) -> int:
        """Read what is new and give it to all; how many lines found no room."""
        grown = await self._logs.grown(self._company, self.at)
        settled = grown.now - SETTLED_MS
        until = max(self.at, min(settled, self.at + WINDOW_MS))
        its = [one for stream in grown.streams if (one := named(stream)) is not None]
        wanted = [one for one in its if any(follower.wanted.takes_stream(one) for follower in self.followers)]
        reads = [Deferred.fromCoroutine(self._read(one, until)) for one in wanted]
        found = [pair for pairs in await gatherResults(reads, consumeErrors=True) for pair in pairs]
        found.sort(key=lambda pair: (pair[1].ms, int(pair[1].id.partition("-")[2]), pair[0].mark))
        self.at, self.is_behind = until, until < settled
        return await self._share(found, tuple(self.followers))

    async def _read(self, its: Named, until: int) -> list[tuple[Named, LogEntry]]:
        first, found = str(self.at), []
        while True:
            read = await self._logs.entries(its.stream, first, f"({until}-0", A_READ)
            found += [(its, entry) for entry in read]
            if len(read) < A_READ:
                return found
            first = f"({read[-1].id}"

    async def _share(self, found: Sequence[tuple[Named, LogEntry]], followers: Sequence[Follower]) -> int:
        """Give lines to those who followed when they were read; in turns, since both may be many."""
        dropped, began = 0, self._clock.seconds()
        for line in (line for its, entry in found for line in lines(its, entry, _ANY)):
            wanted = [one for one in followers if one.wanted.takes_line(line.domain, line.name, line.message)]
            encoded = self._encode(self._company, line) if wanted else b""
            dropped += sum(not follower.give(encoded) for follower in wanted)
            if self._clock.seconds() - began > TURN_S:
                _wake(followers)
                await sleep(self._clock, 0)
                began = self._clock.seconds()
        _wake(followers)
        return dropped


def _wake(followers: Sequence[Follower]) -> None:
    for follower in followers:
        if follower.has_some:
            follower.wake()


class LogTail:
    """Follows logs. `dropped`: lines that slow followers did not get."""

    log = Logger()

    def __init__(self, logs: Logs, search: LogSearch, hub: Hub, encode: Encode) -> None:
        self._encode = encode
        self._logs = logs
        self._search = search
        self._hub = hub
        self._tails: dict[str, _Tail] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return sum(len(tail.followers) for tail in self._tails.values())

    async def follow(self, company: str, wanted: Filter, after: Place | None) -> AsyncIterator[Batch]:
        """Lines from now on, or from behind a place, as they come; an empty batch every 15 s of silence."""
        follower = Follower(wanted)
        tail = await self._join(company, follower)
        try:
            if after is not None:
                async for found in self._missed(company, wanted, after, tail.at):
                    yield found
            while not self._hub.closed:  # whoever reads goes on elsewhere, from the last place
                yield follower.take()
                await follower.wait(self._hub)
        finally:
            tail.followers.discard(follower)

    async def _missed(self, company: str, wanted: Filter, after: Place, until: int) -> AsyncIterator[Batch]:
        place: Place | None = after
        while place is not None:
            asked = Wanted(filter=wanted, until=until, after=place, order="asc", count=CAUGHT_UP)
            page = await self._search.page(company, asked)
            yield Batch([self._encode(company, line) for line in page.lines])
            place = page.next

    async def _join(self, company: str, follower: Follower) -> _Tail:
        tail = self._tails.get(company)
        if tail is None:
            now = await self._logs.now()
            tail = self._tails.get(company)
        if tail is None:
            tail = self._tails[company] = _Tail(self._logs, company, now, self._encode, self._hub.clock)
            Deferred.fromCoroutine(self._go_on(company, tail))
        tail.followers.add(follower)
        return tail

    async def _go_on(self, company: str, tail: _Tail) -> None:
        """Read until nobody follows any more."""
        while not self._hub.closed:
            pause = LOOK_S
            try:
                self.dropped += await tail.look()
                pause = 0.0 if tail.is_behind else LOOK_S
            except (UnavailableError, NoSpaceError):
                pass  # Redis comes back, and this goes on from where it is
            except Exception:  # noqa: BLE001 (whatever it was, the next look comes)
                self.log.failure("logs of {company} could not be followed", company=company)
            await sleep(self._hub.clock, pause)
            if not tail.followers:
                break
        del self._tails[company]
        for follower in tail.followers:
            follower.wake()
