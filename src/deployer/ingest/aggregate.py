"""Samples of statsd of one company between two flushes, and the numbers that they become. Pure: time is an argument.

Names are those of etsy's statsd without its legacy namespace: `stats.counters.K.count` and `.rate`, `stats.gauges.K`,
`stats.sets.K.count`, `stats.timers.K.…`; tags stand behind as Graphite's. Types are told apart, so that one name may
have several. A gauge keeps its value for ten flushes after it was last set, everything else begins anew with each.

New series beyond the bound are counted in together under the name `_overflow` of their type (RELIABILITY U4).
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from deployer.model.series import Datum, canonical, is_series
from deployer.protocol.statsd import Kind, Sample, Tags
from deployer.protocol.statseries import Counter, Distinct, Gauge, Last, Pool, Series, Timer, Value

MOST: Final = 10_000
KEEP_FLUSHES: Final = 10
OVERFLOW: Final = "_overflow"
VALUES_A_TIMER: Final = 10_000
VALUES: Final = 500_000
MEMBERS: Final = 100_000

_CLASSES: Final[dict[Kind, tuple[type[Series], str]]] = {
    "counter": (Counter, "stats.counters."),
    "gauge": (Gauge, "stats.gauges."),
    "delta": (Gauge, "stats.gauges."),
    "kv": (Last, "stats.gauges."),
    "timer": (Timer, "stats.timers."),
    "set": (Distinct, "stats.sets."),
}

Key = tuple[type[Series], str, Tags]


class Aggregate:
    """Takes samples, gives numbers. `overflow`: samples without a series of their own; `refused`: of no possible name.

    `cut`: values of timers that count and are not among those that median and percentiles are made of; `lost`: members
    of sets without room.
    """

    def __init__(self, most: int = MOST, pool: Pool | None = None) -> None:
        self._most = most
        self._pool = pool or Pool(VALUES, MEMBERS, a_timer=VALUES_A_TIMER, a_set=MEMBERS)
        self._series: dict[Key, Series] = {}
        self.overflow = 0
        self.refused = 0
        self.conflicts = 0

    @property
    def cut(self) -> int:
        """Values of timers that were not kept."""
        return self._pool.cut

    @property
    def lost(self) -> int:
        """Members of sets that were not counted."""
        return self._pool.overflow

    def __len__(self) -> int:
        return len(self._series)

    def take(self, sample: Sample) -> None:
        """Count one in."""
        kind = _CLASSES[sample.kind][0]
        series = self._series.get((kind, sample.name, sample.tags))
        if series is None:
            series = self._new(kind, sample)
            if series is None:
                return
        series.idle = 0
        series.take(sample)

    def flush(self, at: int, step: int) -> Iterator[Datum]:
        """End the slot that began at `at`: its numbers, made while they are read; what comes now is of the next."""
        ended, self._series = self._series, {}
        told: list[tuple[Key, Iterable[Value]]] = []
        for key, series in ended.items():
            if isinstance(series, Gauge):
                told.append((key, tuple(series.close(step))))
                series.idle += 1
                if series.idle <= KEEP_FLUSHES:
                    self._series[key] = series
            else:
                told.append((key, _later(series, step)))
        return _data(told, at)

    def _new(self, kind: type[Series], sample: Sample) -> Series | None:
        name, tags = sample.name, sample.tags
        if not is_series(canonical(f"{_CLASSES[sample.kind][1]}{name}{kind.longest}", tags)):
            self.refused += 1
            return None
        if len(self._series) >= self._most:
            self.overflow += 1
            name, tags = OVERFLOW, ()
        return self._series.setdefault((kind, name, tags), kind(self._pool))


def _later(series: Series, step: int) -> Iterator[Value]:
    yield from series.close(step)


_FRONTS: Final = dict(_CLASSES.values())


def _data(told: Iterable[tuple[Key, Iterable[Value]]], at: int) -> Iterator[Datum]:
    for (kind, name, tags), values in told:
        front, behind = f"{_FRONTS[kind]}{name}", canonical("", tags)
        for suffix, how, value in values:
            if math.isfinite(value):
                yield Datum(f"{front}{suffix}{behind}", at, value, how)
