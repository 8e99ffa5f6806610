"""Messages between their arrival and Redis: gathered, packed many to an entry, held while Redis is away, bounded.

They are stored each 100 ms, or as soon as 2,000 have come. What finds no room is dropped and counted, the newest first.
While Redis is nearly full nothing is stored: a flood of messages must not take the room of jobs.
An append whose answer was lost is made again: its messages may then be there twice.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct
from twisted.logger import Logger

from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import Clock
from deployer.kit.inflight import Inflight
from deployer.kit.periodic import Periodic
from deployer.stores.logs import Said

MESSAGES: Final = 2000
FLUSH_S: Final = 0.1
ENTRY_BYTES: Final = 256 * 1024
APPEND_BYTES: Final = 1024 * 1024
"""So much goes into Redis by one script: about 2 ms."""
ENTRIES_AT_ONCE: Final = 200
"""So many entries: a flood of names would make a script of thousands."""
HELD_BYTES: Final = 64 * 1024 * 1024
OVERHEAD_BYTES: Final = 50
"""What a message takes beside its bytes while it is gathered."""

Append = Callable[[str, Sequence[Said]], Awaitable[int]]


class _Packed(Struct, frozen=True, gc=False):
    company: str
    said: Said
    held: int


class _Gathered:
    """What has come for one stream since the last flush."""

    __slots__ = ("company", "held", "messages")

    def __init__(self, company: str) -> None:
        self.company = company
        self.messages: list[bytes] = []
        self.held = 0


class Buffer:
    """`stored`, `dropped` (no room) and `lost` (no stream under its name) count messages; `held` is in bytes."""

    log = Logger()

    def __init__(
        self, append: Append, clock: Clock, limit: int = HELD_BYTES, is_full: Callable[[], bool] = lambda: False
    ) -> None:
        self._append = append
        self._is_full = is_full
        self._limit = limit
        self._gathered: dict[str, _Gathered] = {}
        self._count = 0
        self._packed: deque[_Packed] = deque()
        self._inflight = Inflight()
        self._writing = False
        self._flushes = Periodic("storing what machines sent", FLUSH_S, self.flush, clock)
        self.held = 0
        self.stored = 0
        self.dropped = 0
        self.lost = 0

    @property
    def waiting(self) -> int:
        """Messages that are not in Redis yet."""
        return self._count + sum(one.said.count for one in self._packed)

    def start(self) -> None:
        """Begin to store."""
        self._flushes.startService()

    async def stop(self) -> None:
        """Store what is there, if Redis takes it; the rest is dropped."""
        if self._flushes.running:
            self._flushes.stopService()
        await self.flush()
        await self._inflight.settled()
        self.dropped += self.waiting
        self._packed.clear()
        self.held = 0

    def add(self, company: str, stream: str, message: bytes) -> None:
        """One message, as JSON."""
        held = len(message) + OVERHEAD_BYTES
        if self.held + held > self._limit:
            self.dropped += 1
            return
        gathered = self._gathered.get(stream)
        if gathered is None:
            gathered = self._gathered[stream] = _Gathered(company)
        gathered.messages.append(message)
        gathered.held += held
        self.held += held
        self._count += 1
        if gathered.held >= ENTRY_BYTES:
            self._pack_one(stream, self._gathered.pop(stream))
        if self._count >= MESSAGES:
            self._store()

    async def flush(self) -> None:
        """Store what has come, beside the caller."""
        self._store()

    def _store(self) -> None:
        self._pack()
        if not self._writing and self._packed:
            self._writing = True
            self._inflight.spawn("storing what machines sent", self._write())

    def _pack(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for stream, one in sorted(gathered.items(), key=lambda item: item[1].company):
            self._pack_one(stream, one)
        self._count = 0

    def _pack_one(self, stream: str, gathered: _Gathered) -> None:
        messages = gathered.messages
        said = Said(stream, len(messages), b"[" + b",".join(messages) + b"]")
        self._packed.append(_Packed(gathered.company, said, gathered.held))
        self._count -= len(messages)

    async def _write(self) -> None:
        """Entries into Redis, oldest first; while it cannot take them they stay, and the next flush tries again."""
        try:
            while self._packed and not self._is_full():
                await self._write_some(self._some())
        except (UnavailableError, NoSpaceError) as error:
            self.log.debug("what machines sent waits: {error}", error=str(error))
        finally:
            self._writing = False

    def _some(self) -> list[_Packed]:
        """The first entries that go together: of one company."""
        some: list[_Packed] = []
        size = 0
        for one in self._packed:
            if some and (size + one.held > APPEND_BYTES or one.company != some[0].company):
                break
            if len(some) >= ENTRIES_AT_ONCE:
                break
            some.append(one)
            size += one.held
        return some

    async def _write_some(self, some: Sequence[_Packed]) -> None:
        count = sum(one.said.count for one in some)
        try:
            lost = await self._append(some[0].company, [one.said for one in some])
        except (UnavailableError, NoSpaceError):
            raise
        except Exception:  # whatever it was, it would be so again: the rest goes on without these
            self.dropped += count
            self._forget(some)
            raise
        self._forget(some)
        self.stored += count - lost
        self.lost += lost
        if lost:
            self.log.error(
                "ALERT: {count} messages are lost: what has the name of their stream in Redis is none", count=lost
            )

    def _forget(self, some: Sequence[_Packed]) -> None:
        for one in some:
            self._packed.popleft()
            self.held -= one.held
