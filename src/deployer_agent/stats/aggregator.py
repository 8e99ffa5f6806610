"""The statsd aggregator (seed 001): samples of all jobs in, points once a step out. Pure: time is an argument.

Jobs with the same domain and name are one: their counters add up, their timers and sets are one population, a gauge
has the value that came last. An aggregator knows one step; processes with a `stats_interval` of their own have another
aggregator. A key has the type that it was first used with, until it has been idle for ten flushes. Samples with tags
are keys of their own: `tag_text()` stands at the end of the point's key. The time that a sample names is not looked at.

Nothing grows without end: what finds no room is counted and not kept. The counts are points of domain `deployer` and
name `agent`: `bad_lines`, `overflow` (samples without room, points that are no finite number), `conflicts` (samples of
another type than their key), `cut` (values of timers that count, and are not among those that the median is made of).
"""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from deployer.protocol.stats import MAX_KEY_CHARS, Flush, How, Point, is_key
from deployer.protocol.statsd import Bad, Kind, Sample, parse_lines, tag_text
from deployer.protocol.statseries import Counter, Distinct, Gauge, Last, Pool, Reading, Series, Timer, Value

KEEP_FLUSHES: Final = 10
"""So long an idle gauge keeps its value, and any key its type."""
POINTS_A_FLUSH: Final = 1000
OWN: Final = ("deployer", "agent")

_CLASSES: Final[dict[Kind, type[Series]]] = {
    "counter": Counter,
    "gauge": Gauge,
    "delta": Gauge,
    "timer": Timer,
    "set": Distinct,
    "kv": Last,
}


class Bounds(Struct, frozen=True):
    """Most keys of one domain and name, and of all."""

    keys: int = 1000
    all_keys: int = 10_000


USUAL: Final = Bounds()


class _Closed(Struct, frozen=True, gc=False):
    """One key at a flush: `tags` stand behind what the value's own name adds to it."""

    domain: str
    name: str
    key: str
    tags: str
    values: Iterable[Value]


class Aggregator:
    """Takes samples and readings, gives points."""

    def __init__(self, bounds: Bounds = USUAL, pool: Pool | None = None) -> None:
        self._bounds = bounds
        self._pool = pool or Pool()
        self._groups: dict[tuple[str, str], dict[tuple[str, str], Series]] = {}
        self.size = 0
        self.bad_lines = 0
        self.conflicts = 0

    @property
    def overflow(self) -> int:
        """Samples without room, since the last flush."""
        return self._pool.overflow

    def feed(self, domain: str, name: str, text: str) -> None:
        """Take what a process printed at level 10, one line or several."""
        for sample in parse_lines(text):
            if isinstance(sample, Bad):
                self.bad_lines += 1
            else:
                self.take(domain, name, sample)

    def take(self, domain: str, name: str, sample: Sample) -> None:
        """Count one sample in."""
        key = (sample.name, tag_text(sample.tags) if sample.tags else "")
        series = self._series(domain, name, key, _CLASSES[sample.kind])
        if series is not None:
            series.take(sample)

    def gauge(self, domain: str, name: str, key: str, value: float, how: How = "last") -> None:
        """Set what sampling has read, for this slot; what several jobs of one name consume is added up by the caller.

        There is always room for it, and it takes the place of what a process prints under the same key.
        """
        if not (math.isfinite(value) and is_key(key)):
            self.bad_lines += 1
            return
        group = self._groups.setdefault((domain, name), {})
        series = group.get((key, ""))
        if type(series) is not Reading:
            self.size += series is None
            self.conflicts += series is not None
            series = group[key, ""] = Reading(self._pool)
        series.value, series.how, series.idle = value, how, 0

    def flush(self, at: int, step: int) -> Iterator[Flush]:
        """End the slot that began at `at`, a multiple of `step`; its points, at most 1,000 to a flush.

        What comes from now on belongs to the next slot; the flushes are made one by one as they are asked for.
        """
        closed = [*self._close(step), *self._own()]
        return _flushes(at, step, self._points(closed))

    def _series(self, domain: str, name: str, key: tuple[str, str], kind: type[Series]) -> Series | None:
        """The series of a key, new or known; None when there is no room, or when it is of another type."""
        group = self._groups.get((domain, name))
        series = None if group is None else group.get(key)
        if series is None:
            return self._add(domain, name, key, kind)
        if type(series) is not kind:
            self.conflicts += 1
            return None
        series.idle = 0
        return series

    def _add(self, domain: str, name: str, key: tuple[str, str], kind: type[Series]) -> Series | None:
        held = len(self._groups.get((domain, name), ()))
        chars = len(key[0]) + len(kind.longest) + len(key[1])
        if self.size >= self._bounds.all_keys or held >= self._bounds.keys or chars > MAX_KEY_CHARS:
            self._pool.overflow += 1
            return None
        series = self._groups.setdefault((domain, name), {})[key] = kind(self._pool)
        self.size += 1
        return series

    def _close(self, step: int) -> Iterator[_Closed]:
        for (domain, name), group in list(self._groups.items()):
            for key, series in list(group.items()):
                if series.idle >= KEEP_FLUSHES:
                    del group[key]
                    self.size -= 1
                    continue
                if values := series.close(step):
                    yield _Closed(domain, name, key[0], key[1], values)
                series.idle += 1
            if not group:
                del self._groups[domain, name]

    def _own(self) -> Iterator[_Closed]:
        pool = self._pool
        counts = {
            "bad_lines": self.bad_lines,
            "overflow": pool.overflow,
            "conflicts": self.conflicts,
            "cut": pool.cut,
        }
        self.bad_lines = self.conflicts = pool.overflow = pool.cut = 0
        return (_Closed(*OWN, key, "", (("", "sum", float(count)),)) for key, count in counts.items() if count)

    def _points(self, closed: Iterable[_Closed]) -> Iterator[Point]:
        for one in closed:
            for suffix, how, value in one.values:
                if math.isfinite(value):
                    yield Point(one.domain, one.name, f"{one.key}{suffix}{one.tags}", how, value)
                else:
                    self._pool.overflow += 1


def _flushes(at: int, step: int, points: Iterator[Point]) -> Iterator[Flush]:
    while some := list(islice(points, POINTS_A_FLUSH)):
        yield Flush(at, step, some)
