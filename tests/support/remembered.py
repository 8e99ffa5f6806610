"""Series in memory, for tests of what reads them: a `model.series.Source`."""

from collections.abc import Mapping, Sequence

from deployer.model.series import Series
from deployer.model.slots import coarser


class Remembered:
    """What a test has put in."""

    def __init__(self) -> None:
        self._series: dict[str, dict[str, Series]] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    def put(self, company: str, series: Mapping[str, Series]) -> None:
        """Have these."""
        self._series.setdefault(company, {}).update(series)
        self._names[company] = tuple(sorted(self._series[company]))

    async def names(self, company: str) -> Sequence[str]:
        """All of a company."""
        return self._names.get(company, ())

    async def fetch(self, company: str, names: Sequence[str], start: int, end: int, points: int) -> list[Series]:
        """Cut out, and made coarser where there are too many."""
        found = [self._series.get(company, {}).get(name) for name in names]
        return [_cut(one, start, end, points) for one in found if one is not None]


def _cut(one: Series, start: int, end: int, points: int) -> Series:
    times = max(1, -(-(end - start) // (one.step * points)))
    step = one.step * times
    first = start - start % step
    values = [
        one.values[place] if 0 <= (place := (at - one.start) // one.step) < len(one.values) else None
        for at in range(first, end, one.step)
    ]
    return Series(one.name, first, step, coarser(values, times, one.how), one.how)
