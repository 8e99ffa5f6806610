"""What the aggregators of agents and masters keep of one key between two flushes, one class for each type. Pure.

Names and definitions are those of etsy's statsd. A closed series gives its values when they are asked for, so that a
flush of many can be done in parts.
"""

import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Final

from msgspec import Struct

from deployer.protocol.stats import How
from deployer.protocol.statsd import Sample

Value = tuple[str, How, float]
"""What is behind the key in a point's key, how two are merged, the number."""

VALUES_A_TIMER: Final = 1000
VALUES: Final = 50_000
MEMBERS_A_SET: Final = 10_000
MEMBERS: Final = 100_000
NINETY: Final = 0.9


class Pool:
    """What all series share: room for values of timers and members of sets, and how many found none.

    `chance()` is at least 0 and below 1; `a_timer`, `a_set`: how many one of them may hold.
    """

    def __init__(
        self,
        values: int = VALUES,
        members: int = MEMBERS,
        chance: Callable[[], float] = random.random,
        *,
        a_timer: int = VALUES_A_TIMER,
        a_set: int = MEMBERS_A_SET,
    ) -> None:
        self.a_timer = a_timer
        self.a_set = a_set
        self.values = values
        self.members = members
        self.chance = chance
        self.cut = 0
        self.overflow = 0


class Series:
    """One key. `idle`: flushes since it was last fed; `longest`: of what its points add to the key."""

    longest: ClassVar[str] = ".upper_90"

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.idle = 0

    def take(self, sample: Sample) -> None:
        """Count a sample in; the caller sets `idle` to 0."""
        raise NotImplementedError

    def close(self, step: int) -> Iterable[Value]:
        """Begin anew; the values of the `step` seconds that end."""
        raise NotImplementedError


class Counter(Series):
    """`K.count` and `K.rate` (a second)."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._total = 0.0

    def take(self, sample: Sample) -> None:
        """Add."""
        self._total += sum(sample.values) / sample.rate

    def close(self, step: int) -> Iterable[Value]:
        """Sum and rate, when there was something."""
        total, self._total = self._total, 0.0
        return () if self.idle else ((".count", "sum", total), (".rate", "average", total / step))


class Gauge(Series):
    """`K`: its last value, told until it is forgotten."""

    longest = ""

    def __init__(self, pool: Pool, how: How = "last") -> None:
        super().__init__(pool)
        self.how: How = how
        self.value = 0.0

    def take(self, sample: Sample) -> None:
        """Set, or change within what a double can hold."""
        if sample.kind == "delta":
            limit = sys.float_info.max
            self.value = min(max(self.value + sample.values[0], -limit), limit)
        else:
            self.value = sample.values[-1]

    def close(self, step: int) -> Iterable[Value]:  # noqa: ARG002 (the base's form)
        """The value."""
        return (("", self.how, self.value),)


class Last(Gauge):
    """`K`: the last value of each slot in which there was one."""

    def close(self, step: int) -> Iterable[Value]:
        """The value, when one came."""
        return () if self.idle else super().close(step)


class Reading(Last):
    """`K`: what sampling has read; nothing that a process prints takes its place."""


class Distinct(Series):
    """`K.count`: how many different texts there were. Of each only its hash is kept."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._members: set[int] = set()

    def take(self, sample: Sample) -> None:
        """Note a member."""
        member = hash(sample.member)
        if member in self._members:
            return
        if len(self._members) >= self.pool.a_set or self.pool.members <= 0:
            self.pool.overflow += 1
            return
        self._members.add(member)
        self.pool.members -= 1

    def close(self, step: int) -> Iterable[Value]:  # noqa: ARG002 (the base's form)
        """Their number, when there were any."""
        count = len(self._members)
        self.pool.members += count
        self._members = set()
        return () if self.idle else ((".count", "max", float(count)),)


class Timings(Struct, gc=False):
    """What a timer took. All but `kept`, a fair choice of at most as many as the pool allows, is exact.

    `events`: values with those that the sample rate left out; `seen`: values that came.
    """

    events: float = 0.0
    seen: int = 0
    total: float = 0.0
    lower: float = math.inf
    upper: float = -math.inf
    kept: list[float] = []


class Timer(Series):
    """`K.count`, `.count_ps`, `.lower`, `.upper`, `.sum`, `.mean`, `.median`, `.std` and those of the lowest 90 %."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._timings = Timings()

    def take(self, sample: Sample) -> None:
        """Count values in; of too many each has the same chance to be kept (Vitter's algorithm R)."""
        timings = self._timings
        timings.events += len(sample.values) / sample.rate
        for value in sample.values:
            timings.seen += 1
            timings.total += value
            timings.lower = min(timings.lower, value)
            timings.upper = max(timings.upper, value)
            self._keep(timings.kept, timings.seen, value)

    def _keep(self, kept: list[float], seen: int, value: float) -> None:
        if len(kept) < self.pool.a_timer and self.pool.values > 0:
            kept.append(value)
            self.pool.values -= 1
            return
        self.pool.cut += 1
        place = int(self.pool.chance() * seen)
        if place < len(kept):
            kept[place] = value

    def close(self, step: int) -> Iterable[Value]:
        """The summary, when there was something; it is computed while it is read."""
        timings, self._timings = self._timings, Timings()
        self.pool.values += len(timings.kept)
        return () if self.idle else summary(timings, step)


def summary(timings: Timings, step: int) -> Iterator[Value]:
    """A timer's values as etsy's `process_metrics` has them: only the count is scaled by the sample rate."""
    yield ".count", "sum", timings.events
    yield ".count_ps", "average", timings.events / step
    yield ".lower", "min", timings.lower
    yield ".upper", "max", timings.upper
    yield ".sum", "sum", timings.total
    mean = timings.total / timings.seen
    yield ".mean", "average", mean
    kept = sorted(timings.kept)
    if not kept:
        return
    middle = len(kept) // 2
    yield ".median", "average", kept[middle] if len(kept) % 2 else (kept[middle - 1] + kept[middle]) / 2
    centre = sum(kept) / len(kept)
    yield ".std", "average", math.sqrt(sum((value - centre) * (value - centre) for value in kept) / len(kept))
    yield from _ninety(kept, timings.seen)


def _ninety(kept: list[float], seen: int) -> Iterator[Value]:
    """Of the lowest 90 % of the values; the sum is that of all that came, as far as those kept tell."""
    count = math.floor(NINETY * len(kept) + 0.5)
    lowest = sum(kept[:count])
    yield ".mean_90", "average", lowest / count
    yield ".upper_90", "max", kept[count - 1]
    yield ".sum_90", "sum", lowest * (seen / len(kept))
