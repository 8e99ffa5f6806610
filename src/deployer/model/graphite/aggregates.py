"""How several numbers become one: the functions that `aggregate`, `groupByNode`, `summarize`, `sortBy` know by name."""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

from deployer.model.graphite.problems import WrongTargetError

Values = Sequence[float | None]
Aggregate = Callable[[list[float]], float]
"""Of at least one number."""


def present(values: Iterable[float | None]) -> list[float]:
    """The numbers among values."""
    return [value for value in values if value is not None]


def average(values: list[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


def difference(values: list[float]) -> float:
    """The first less all others."""
    return values[0] - sum(values[1:])


def spread(values: list[float]) -> float:
    """From the smallest to the largest."""
    return max(values) - min(values)


def deviation(values: list[float]) -> float:
    """The standard deviation of a whole population."""
    mean = average(values)
    return math.sqrt(sum((value - mean) * (value - mean) for value in values) / len(values))


def last(values: list[float]) -> float:
    """The newest."""
    return values[-1]


def first(values: list[float]) -> float:
    """The oldest."""
    return values[0]


def count(values: list[float]) -> float:
    """How many there are."""
    return len(values)


def percentile(values: Sequence[float], percent: float, *, interpolate: bool = False) -> float:
    """The number below which so many per cent are (Graphite's own reckoning); `values` is sorted and not empty."""
    rank = min(max(percent, 0.0), 100.0) / 100.0 * (len(values) + 1)
    fraction = rank - int(rank)
    place = int(rank) if interpolate else math.ceil(rank)
    if place <= 0:
        return values[0]
    if place >= len(values):
        return values[-1]
    found = values[place - 1]
    return found + fraction * (values[place] - found) if interpolate else found


AGGREGATES: Final[dict[str, Aggregate]] = {
    "sum": sum,
    "total": sum,
    "average": average,
    "avg": average,
    "median": median,
    "min": min,
    "max": max,
    "diff": difference,
    "stddev": deviation,
    "count": count,
    "range": spread,
    "rangeOf": spread,
    "multiply": math.prod,
    "last": last,
    "current": last,
    "first": first,
}


def aggregate_of(name: str) -> Aggregate:
    """The function of a name; `sumSeries` is one for `sum`, and `p95` is the 95th percentile."""
    short = name.removesuffix("Series")
    found = AGGREGATES.get(short)
    if found is None and short[:1] == "p" and short[1:].isdigit() and len(short) <= 4:  # noqa: PLR2004 (p999)
        digits = short[1:]
        percent = float(digits) if len(digits) <= 2 else float(f"{digits[:2]}.{digits[2:]}")  # noqa: PLR2004 (p99)
        return lambda values: percentile(sorted(values), percent)
    if found is None:
        raise WrongTargetError(
            f"no aggregation is named {name[:60]!r}: there are {', '.join(AGGREGATES)} and p1 to p99"
        )
    return found


def of_present(aggregate: Aggregate, values: Values) -> float | None:
    """What the numbers among values are together; None when there are none."""
    there = present(values)
    return aggregate(there) if there else None
