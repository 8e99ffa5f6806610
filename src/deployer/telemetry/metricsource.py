"""Numbers over time as they are read: names from Redis, values from the metric store (`model.series.Source`)."""

from collections.abc import Mapping, Sequence

from deployer.model.series import Series
from deployer.model.slots import Rows
from deployer.protocol.stats import How
from deployer.stores.metrics.index import Index
from deployer.stores.metrics.store import MetricStore


class MetricSource:
    """What has been stored, of one company each time."""

    def __init__(self, index: Index, store: MetricStore) -> None:
        self._index = index
        self._store = store

    async def names(self, company: str) -> Sequence[str]:
        """All series, sorted; the same object as long as nothing has changed."""
        return await self._index.names(company)

    async def fetch(self, company: str, names: Sequence[str], start: int, end: int, points: int) -> list[Series]:
        """Series from `start` to `end` (epoch seconds), each in at most `points` slots, in the order of `names`."""
        hows = await self._index.hows(company, names)
        return await self._store.fetch(company, hows, start, end, points) if hows and start < end else []


class NoMetrics:
    """The store of a master without one: nothing is kept, nothing found."""

    async def write(self, company: str, rows: Rows, hows: Mapping[str, How]) -> None:
        """Nothing is kept."""

    async def fetch(self, company: str, hows: Mapping[str, How], start: int, end: int, points: int) -> list[Series]:
        """Nothing is there."""
        del company, hows, start, end, points
        return []

    async def remove(self, company: str, names: Sequence[str]) -> None:
        """Nothing is there."""

    async def stop(self) -> None:
        """Nothing is open."""
