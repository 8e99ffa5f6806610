"""Numbers on their way out of Redis and into the metric store: one master does it at a time.

What cannot be stored waits in Redis, up to the bounds of its stream. A batch that was merged is kept until it is
stored, so that it is merged once. A master that begins to store looks at what there is of the slots of that time:
another one, or itself before a restart, may have stored the first half of them. Only what a master had stored and not
yet taken out of Redis when it was killed is merged again: some entries of that moment.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import WallClock
from deployer.model.foreign import is_timely
from deployer.model.metricnames import agent_series
from deployer.model.series import Datum, is_series
from deployer.model.slots import Rows, Slots
from deployer.model.storage import Plans
from deployer.protocol.stats import How
from deployer.stores.metrics.index import Index
from deployer.stores.metrics.store import MetricStore
from deployer.stores.metrics.turn import Turn
from deployer.stores.points import PointEntry, Points

ENTRIES: Final = 16
"""Read at once: at most one megabyte, and those of usual agents are a few kilobytes each."""
TOGETHER: Final = 2000
"""Points that are merged at once, some milliseconds of the reactor; what else was read comes next."""
DAY_S: Final = 86400
ROUNDS: Final = 100
TELL_S: Final = 60.0
RECALLED_S: Final = 120
"""Slots that began so long before we did may be half full."""


class _Batch(Struct, frozen=True):
    """What was merged, and the entries it comes from."""

    ids: Sequence[str]
    rows: Rows
    hows: Mapping[str, How]


class Shelf(Struct, frozen=True):
    """Where numbers come from, which series there are, where they are kept, and how. `files`: in files of our own."""

    points: Points
    index: Index
    store: MetricStore
    plans: Plans
    files: bool


class MetricKeeper:
    """Moves numbers.

    `stored`: points; `strange`: entries that are none, points without a name or of an impossible time; `failures`: of
    the store.

    `trouble`: why this master is not to be used, as another one keeps files; None when there is no reason.
    """

    log = Logger()

    def __init__(
        self, shelf: Shelf, turn: Turn, companies: Callable[[], Awaitable[Sequence[str]]], wall: WallClock
    ) -> None:
        self._points = shelf.points
        self._index = shelf.index
        self._store = shelf.store
        self._plans = shelf.plans
        self._files = shelf.files
        self._turn = turn
        self._companies = companies
        self._wall = wall
        self._slots: dict[str, Slots] = {}
        self._merged: dict[str, _Batch] = {}
        self.trouble: str | None = None
        self.stored = 0
        self.strange = 0
        self.failures = 0
        self.waits: str | None = None
        """Why numbers wait in Redis now; None when they do not."""
        self._sizes: dict[str, tuple[Sequence[str], int]] = {}
        self._told = 0.0
        self._began: float | None = None

    async def look(self) -> None:
        """Find out whether another master keeps files; hold them while we do."""
        taken = not await self._turn.files.is_mine() if self._files else await self._turn.files.is_elsewhere()
        self.trouble = (
            "another master keeps metrics in files of its own: set `metrics` of all masters to one InfluxDB, or to off"
            if taken
            else None
        )

    async def round(self) -> bool:
        """Move some numbers of each company; whether there may be more."""
        if self.trouble is not None or not await self._turn.writing.is_mine():
            self._slots.clear()
            self._merged.clear()
            self._began = None
            return False
        if self._began is None:
            self._began = self._wall()
        moved = False
        for company in await self._companies():
            if not await self._turn.writing.is_mine():  # a store that answers late may have cost us our turn
                return False
            moved |= await self._survive(company)
        return moved

    async def _survive(self, company: str) -> bool:
        """What goes wrong with the numbers of one company is no matter of the others."""
        try:
            return await self._move(company)
        except (CancelledError, UnavailableError, NoSpaceError):
            raise
        except Exception:  # noqa: BLE001 (whatever it was, the next round comes)
            self.failures += 1
            self.log.failure("numbers of company {company} cannot be stored", company=company)
            return False

    async def _move(self, company: str) -> bool:
        try:
            batch = self._merged.get(company) or await self._merge(company)
            if batch is None:
                return False
            await self._store.write(company, batch.rows, batch.hows)
        except UnavailableError as error:
            self._note(error)
            return False
        self.waits = None
        await self._points.stored(company, batch.ids)
        self._merged.pop(company, None)
        self.stored += sum(map(len, batch.rows.values()))
        return True

    def _note(self, error: UnavailableError) -> None:
        """Once a minute: it is tried again each second."""
        self.failures += 1
        self.waits = "numbers wait in Redis: the metric store takes none now, and the log says why"
        if abs(self._wall() - self._told) >= TELL_S:
            self._told = self._wall()
            self.log.error("numbers wait in Redis: {why}", why=str(error))

    async def _merge(self, company: str) -> _Batch | None:
        entries = await self._points.entries(company, "-", ENTRIES)
        if not entries:
            return None
        now = self._wall()
        data: list[Datum] = []
        for taken, entry in enumerate(entries, start=1):
            found = list(self._data(entry))
            timely = [one for one in found if is_timely(one.at, now)]
            self.strange += len(found) - len(timely)
            data += timely
            if len(data) >= TOGETHER:
                entries = entries[:taken]
                break
        hows = await self._index.admit(company, {one.series: one.how for one in data}, int(now // DAY_S))
        slots = self._slots.setdefault(company, Slots(lambda series: self._plans.plan(series).step, self._how))
        data = [one for one in data if one.series in hows]
        await self._recall(company, slots, data, hows)
        rows = slots.take(data)
        batch = self._merged[company] = _Batch([entry.id for entry in entries], rows, hows)
        return batch

    async def _recall(self, company: str, slots: Slots, data: Sequence[Datum], hows: Mapping[str, How]) -> None:
        """Remember what is stored of slots of the time at which we began."""
        began = int(self._began or 0)
        for at, names in slots.unknown(data, began - RECALLED_S, began).items():
            end = at + max(self._plans.plan(name).step for name in names)
            for found in await self._store.fetch(company, {name: hows[name] for name in names}, at, end, 1000):
                place = (at - found.start) // found.step
                value = found.values[place] if 0 <= place < len(found.values) else None
                if value is not None:
                    slots.remember(found.name, at, value)

    def _how(self, series: str, how: How) -> How:
        return self._plans.plan(series).how or how

    def _data(self, entry: PointEntry) -> Iterator[Datum]:
        """The numbers of an entry, each under the name of its series."""
        if not entry.data and not entry.flushes:
            self.strange += 1
        for one in entry.data:
            if is_series(one.series):
                yield one
            else:
                self.strange += 1
        if entry.agent is not None:
            for flush in entry.flushes:
                for point in flush.points:
                    series = agent_series(entry.agent, point.domain, point.name, point.key)
                    if series is None:
                        self.strange += 1
                    else:
                        yield Datum(series, flush.at, point.value, point.how)

    async def reap(self, after_days: int) -> None:
        """Forget series that nothing has come from for so many days."""
        if self.trouble is not None or not await self._turn.writing.is_mine():
            return
        before = int(self._wall() // DAY_S) - after_days
        for company in await self._companies():
            await self._reap(company, before)

    async def _reap(self, company: str, before: int) -> None:
        for _ in range(ROUNDS):
            gone = await self._index.forget(company, before)
            if not gone:
                return
            await self._store.remove(company, gone)
            if company in self._slots:
                self._slots[company].forget(gone)

    async def sizes(self) -> tuple[int, int]:
        """How many series there are, and the bytes of their files, which have all of them from the beginning."""
        sizes: dict[str, tuple[Sequence[str], int]] = {}
        for company in await self._companies():
            names = await self._index.names(company)
            before = self._sizes.get(company)
            is_same = before is not None and before[0] is names
            sizes[company] = before if is_same and before else (names, sum(self._plans.plan(one).size for one in names))
        self._sizes = sizes
        return sum(len(names) for names, _ in sizes.values()), sum(size for _, size in sizes.values())

    async def let_go(self) -> None:
        """Another master may go on."""
        await self._turn.let_go()
