"""Series in memory, read as a metric store gives them."""

from collections.abc import Mapping, Sequence

from deployer.model.series import Series
from deployer.model.slots import as_one


class MemorySource:
    """A `Source` of what it was given, by company."""

    def __init__(self, series: Mapping[str, Sequence[Series]]) -> None:
        self._series = {company: {one.name: one for one in its} for company, its in series.items()}
        self._names = {company: sorted(its) for company, its in self._series.items()}
        self.asked: list[tuple[str, tuple[str, ...], int, int, int]] = []

    def put(self, company: str, *series: Series) -> None:
        """Have these too."""
        self._series.setdefault(company, {}).update({one.name: one for one in series})
        self._names[company] = sorted(self._series[company])

    def listed(self, company: str) -> Sequence[str]:
        """The names, at once."""
        return self._names.get(company, [])

    async def names(self, company: str) -> Sequence[str]:
        """As in `Source`."""
        return self.listed(company)

    async def fetch(self, company: str, names: Sequence[str], start: int, end: int, points: int) -> list[Series]:
        """As in `Source`."""
        return self.read(company, names, start, end, points)

    def read(self, company: str, names: Sequence[str], start: int, end: int, points: int) -> list[Series]:
        """At once."""
        self.asked.append((company, tuple(names), start, end, points))
        its = self._series.get(company, {})
        return [_cut(its[name], start, end, points) for name in names if name in its]


def _cut(series: Series, start: int, end: int, points: int) -> Series:
    step = series.step * max(1, -(-(end - start) // (series.step * points)))
    begin = start // step * step
    slots = range(begin, end, step)
    return Series(series.name, begin, step, [_at(series, at, step) for at in slots], series.how)


def _at(series: Series, at: int, step: int) -> float | None:
    first = (at - series.start) // series.step
    width = step // series.step
    there = [one for one in series.values[max(0, first) : max(0, first + width)] if one is not None]
    return as_one(series.how, there)
