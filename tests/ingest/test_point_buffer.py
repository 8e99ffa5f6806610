"""Numbers before they are in the metric store."""

from collections.abc import Sequence

import pytest
from twisted.internet.task import Clock

from deployer.errors import UnavailableError
from deployer.ingest.points import AT_ONCE, FLUSH_S, OVERHEAD_BYTES, PointBuffer
from deployer.model.series import Datum


class Store:
    def __init__(self) -> None:
        self.calls: list[tuple[str, list[Datum]]] = []
        self.away = False

    async def store(self, company: str, data: Sequence[Datum]) -> None:
        if self.away:
            raise UnavailableError("away")
        self.calls.append((company, list(data)))


def numbers(first: int, count: int) -> list[Datum]:
    return [Datum("a", number, 1.0, "last") for number in range(first, first + count)]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_many_are_stored_at_once_and_companies_take_turns(store: Store, clock: Clock) -> None:
    buffer = PointBuffer(store.store, clock)
    buffer.start()
    buffer.add("acme", numbers(0, AT_ONCE + 1))
    buffer.add("globex", numbers(0, 1))
    clock.advance(FLUSH_S)
    assert [(company, len(data)) for company, data in store.calls] == [("acme", AT_ONCE), ("globex", 1), ("acme", 1)]
    assert (buffer.stored, buffer.waiting, buffer.held) == (AT_ONCE + 2, 0, 0)


def test_while_the_store_is_away_they_are_held_in_order_up_to_the_bound(store: Store, clock: Clock) -> None:
    buffer = PointBuffer(store.store, clock, limit=10 * (OVERHEAD_BYTES + 1))
    buffer.start()
    store.away = True
    buffer.add("acme", numbers(0, 8))
    clock.advance(FLUSH_S)
    buffer.add("acme", numbers(8, 8))
    assert (buffer.waiting, buffer.dropped, buffer.stored) == (10, 6, 0)
    store.away = False
    clock.advance(FLUSH_S)
    assert [one.at for _, data in store.calls for one in data] == list(range(10))
    assert buffer.held == 0


async def test_the_end_stores_what_it_can(store: Store, clock: Clock) -> None:
    buffer = PointBuffer(store.store, clock)
    buffer.add("acme", numbers(0, 2))
    await buffer.stop()
    assert buffer.stored == 2
    store.away = True
    buffer.add("acme", numbers(0, 2))
    await buffer.stop()
    assert (buffer.stored, buffer.dropped, buffer.held) == (2, 2, 0)
