"""Numbers between their arrival and the metric store: many at once, bounded, held while the store is away."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from twisted.logger import Logger

from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import Clock
from deployer.kit.inflight import Inflight
from deployer.kit.periodic import Periodic
from deployer.model.foreign import Store
from deployer.model.series import Datum

FLUSH_S: Final = 0.1
AT_ONCE: Final = 2000
HELD_BYTES: Final = 64 * 1024 * 1024
OVERHEAD_BYTES: Final = 150
"""What a number takes in memory beside its name."""


class PointBuffer:
    """`stored` and `dropped` count numbers; `held` is in bytes."""

    log = Logger()

    def __init__(self, store: Store, clock: Clock, limit: int = HELD_BYTES) -> None:
        self._store = store
        self._limit = limit
        self._waiting: dict[str, deque[Datum]] = {}
        self._inflight = Inflight()
        self._writing = False
        self._flushes = Periodic("storing numbers that machines sent", FLUSH_S, self.flush, clock)
        self.held = 0
        self.stored = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Numbers that are not stored yet."""
        return sum(map(len, self._waiting.values()))

    def start(self) -> None:
        """Begin to store."""
        self._flushes.startService()

    async def stop(self) -> None:
        """Store what is there, if the store takes it; the rest is dropped."""
        if self._flushes.running:
            self._flushes.stopService()
        await self._inflight.settled()
        await self.flush()
        await self._inflight.settled()
        self.dropped += self.waiting
        self._waiting.clear()
        self.held = 0

    def add(self, company: str, data: Sequence[Datum]) -> None:
        """Take numbers; the newest are dropped when there is no room."""
        waiting = self._waiting.setdefault(company, deque())
        for one in data:
            held = len(one.series) + OVERHEAD_BYTES
            if self.held + held > self._limit:
                self.dropped += 1
            else:
                self.held += held
                waiting.append(one)

    async def flush(self) -> None:
        """Store what has come, beside the caller."""
        if not self._writing and self.held:
            self._writing = True
            self._inflight.spawn("storing numbers that machines sent", self._write())

    async def _write(self) -> None:
        try:
            while any(self._waiting.values()):
                for company, waiting in list(self._waiting.items()):  # in turn: a flood of one holds up no other
                    if waiting:
                        await self._write_some(company, waiting)
        except (UnavailableError, NoSpaceError) as error:
            self.log.debug("numbers that machines sent wait: {error}", error=str(error))
        finally:
            self._writing = False

    async def _write_some(self, company: str, waiting: "deque[Datum]") -> None:
        """The oldest; they are gone from here when they are stored, or cannot be."""
        some = [waiting[place] for place in range(min(AT_ONCE, len(waiting)))]
        try:
            await self._store(company, some)
        except (UnavailableError, NoSpaceError):
            raise
        except Exception:  # whatever it was, it would be so again: the rest goes on without these
            self.dropped += len(some)
            self._forget(waiting, some)
            raise
        self.stored += len(some)
        self._forget(waiting, some)

    def _forget(self, waiting: "deque[Datum]", some: Sequence[Datum]) -> None:
        for one in some:
            waiting.popleft()
            self.held -= len(one.series) + OVERHEAD_BYTES
