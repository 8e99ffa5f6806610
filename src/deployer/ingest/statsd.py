"""Datagrams of statsd on their way to the metric store; events and checks of DogStatsD into the company's streams.

What comes is flushed at the finest step of the store, aligned to it. A datagram that comes after the end of a slot is
of the next one, however late the flush is noticed.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from twisted.logger import Logger

from deployer.ingest.aggregate import Aggregate
from deployer.ingest.notices import Notices
from deployer.ingest.points import AT_ONCE, PointBuffer
from deployer.ingest.sources import Source
from deployer.kit.clock import Clock, WallClock, sleep
from deployer.kit.inflight import Inflight
from deployer.kit.periodic import Periodic
from deployer.model.series import Datum
from deployer.protocol import dogstatsd
from deployer.protocol.stats import slot
from deployer.protocol.statsd import Bad, parse

LOOK_S: Final = 0.25
STEP_S: Final = 30
_OWN: Final = ("bad_lines_seen", "metrics_received", "packets_received")


class _Tally:
    """One company: its samples, and what its statsd has seen since the last flush."""

    __slots__ = ("aggregate", "bad", "packets", "samples")

    def __init__(self) -> None:
        self.aggregate = Aggregate()
        self.packets = self.samples = self.bad = 0

    def close(self, at: int) -> list[Datum]:
        """What was seen, as numbers of the names that etsy's statsd gives them."""
        seen = (self.bad, self.samples, self.packets)
        self.packets = self.samples = self.bad = 0
        return [
            Datum(f"stats.counters.statsd.{name}.count", at, float(count), "sum")
            for name, count in zip(_OWN, seen, strict=True)
        ]


class StatsdTaker:
    """Takes datagrams of several lines. `samples`, `bad_lines` and `notices` count lines, `empty` datagrams without."""

    log = Logger()

    def __init__(
        self, points: PointBuffer, notices: Notices, clock: Clock, wall: WallClock, step: int = STEP_S
    ) -> None:
        self._points = points
        self._notices = notices
        self._clock = clock
        self._wall = wall
        self._step = step
        self._tallies: dict[str, _Tally] = {}
        self._inflight = Inflight()
        self._looks = Periodic("flushing statsd", LOOK_S, self._look, clock)
        self._at = 0
        self.samples = 0
        self.bad_lines = 0
        self.empty = 0

    def start(self) -> None:
        """Begin to flush."""
        self._at = slot(self._wall(), self._step)
        self._looks.startService()

    async def stop(self) -> None:
        """Flush what there is of the slot that has begun: another master, or this one again, adds the rest."""
        if self._looks.running:
            self._looks.stopService()
        self._flush()
        await self._inflight.settled()

    @property
    def notices(self) -> int:
        """Events and checks."""
        return self._notices.taken

    @property
    def counts(self) -> dict[str, int]:
        """What found no room among the series of all companies."""
        all_of = [tally.aggregate for tally in self._tallies.values()]
        return {
            "series": sum(map(len, all_of)),
            "overflow": sum(one.overflow for one in all_of),
            "refused": sum(one.refused for one in all_of),
            "cut": sum(one.cut for one in all_of),
            "lost_members": sum(one.lost for one in all_of),
        }

    def wake(self, now: float) -> None:
        """End the slot when it is over. What waited since before its end is of the next one."""
        self._notices.wake(now)
        at = slot(now, self._step)
        if at > self._at:
            self._flush()
            self._at = at

    def take(self, data: bytes, source: Source) -> None:
        """One datagram."""
        tally = self._tallies.get(source.company)
        if tally is None:
            tally = self._tallies[source.company] = _Tally()
        tally.packets += 1
        take, found, bad = tally.aggregate.take, 0, 0
        for line in data.decode("utf-8", "replace").split("\n"):
            if not line or line.isspace():
                continue
            if line[0] == "_" and dogstatsd.is_notice(line):
                bad += not self._notices.take(line, source)
                continue
            sample = parse(line)
            if isinstance(sample, Bad):
                bad += 1
            else:
                take(sample)
                found += 1
        tally.samples += found
        tally.bad += bad
        self.samples += found
        self.bad_lines += bad
        self.empty += not data.strip()

    async def _look(self) -> None:
        self.wake(self._wall())

    def _flush(self) -> None:
        for company, tally in self._tallies.items():
            self._points.add(company, tally.close(self._at))
            self._inflight.spawn("flushing statsd", self._give(company, tally.aggregate.flush(self._at, self._step)))

    async def _give(self, company: str, data: Iterator[Datum]) -> None:
        """In parts, so that a flush of many series holds up nothing."""
        while some := list(islice(data, AT_ONCE)):
            self._points.add(company, some)
            await sleep(self._clock, 0)
