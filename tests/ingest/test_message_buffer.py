"""Messages before they are in Redis: packed, in order, bounded, held while it is away."""

import json
from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from deployer.errors import UnavailableError
from deployer.ingest.buffer import ENTRIES_AT_ONCE, ENTRY_BYTES, FLUSH_S, MESSAGES, OVERHEAD_BYTES, Buffer
from deployer.stores.logs import Said


class Store:
    """What was appended; `away`: it cannot be."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[Said]]] = []
        self.away = False
        self.hold: Deferred[None] | None = None
        self.lost = 0

    async def append(self, company: str, said: Sequence[Said]) -> int:
        if self.away:
            raise UnavailableError("away")
        if self.hold is not None:
            await self.hold
        self.calls.append((company, list(said)))
        return self.lost

    def texts(self, stream: str) -> list[int]:
        return [
            number
            for _, entries in self.calls
            for said in entries
            if said.stream == stream
            for number in json.loads(said.messages)
        ]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buffer(store: Store, clock: Clock) -> Buffer:
    made = Buffer(store.append, clock, limit=1_000_000)
    made.start()
    return made


def test_what_came_is_one_entry_of_each_stream_after_100_ms(buffer: Buffer, store: Store, clock: Clock) -> None:
    for number in range(5):
        buffer.add("acme", "a", b"%d" % number)
        buffer.add("acme", "b", b"%d" % number)
    assert store.calls == []
    clock.advance(FLUSH_S)
    assert store.calls == [("acme", [Said("a", 5, b"[0,1,2,3,4]"), Said("b", 5, b"[0,1,2,3,4]")])]
    assert (buffer.stored, buffer.waiting, buffer.held) == (10, 0, 0)


def test_2000_messages_are_stored_at_once(buffer: Buffer, store: Store) -> None:
    for number in range(MESSAGES):
        buffer.add("acme", "a", b"%d" % number)
    assert store.texts("a") == list(range(MESSAGES))


def test_companies_are_stored_apart_and_large_streams_in_several_entries(
    buffer: Buffer, store: Store, clock: Clock
) -> None:
    buffer.add("acme", "a", b"1")
    buffer.add("globex", "c:globex:a", b"2")
    for _ in range(10):
        buffer.add("acme", "large", b"1" * (ENTRY_BYTES // 3))
    clock.advance(FLUSH_S)
    assert {company for company, _ in store.calls} == {"acme", "globex"}
    for company, entries in store.calls:
        assert {said.stream.startswith("c:") for said in entries} == {company == "globex"}
    sizes = [len(said.messages) for _, entries in store.calls for said in entries if said.stream == "large"]
    assert len(sizes) > 1
    assert max(sizes) < 2 * ENTRY_BYTES


def test_while_redis_is_away_messages_are_held_in_order_and_the_newest_beyond_the_bound_are_dropped(
    buffer: Buffer, store: Store, clock: Clock
) -> None:
    store.away = True
    for _ in range(3):
        for number in range(1000):
            buffer.add("acme", "a", b" " * 950 + b"1" if number % 2 else b"1")
        clock.advance(FLUSH_S)
    assert buffer.held <= 1_000_000
    assert buffer.dropped > 0
    assert buffer.stored == 0
    held = buffer.waiting
    assert held + buffer.dropped == 3000
    store.away = False
    clock.advance(FLUSH_S)
    assert (buffer.stored, buffer.waiting, buffer.held) == (held, 0, 0)
    buffer.add("acme", "a", b"7")
    clock.advance(FLUSH_S)
    assert store.texts("a")[-1] == 7


def test_one_append_follows_the_other(buffer: Buffer, store: Store, clock: Clock) -> None:
    store.hold = Deferred()
    buffer.add("acme", "a", b"1")
    clock.advance(FLUSH_S)
    buffer.add("acme", "a", b"2")
    clock.advance(FLUSH_S)
    assert buffer.waiting == 2
    hold, store.hold = store.hold, None
    hold.callback(None)
    assert store.texts("a") == [1, 2]
    assert buffer.held == 0


def test_the_bound_counts_what_small_messages_take_besides(store: Store, clock: Clock) -> None:
    buffer = Buffer(store.append, clock, limit=10 * (OVERHEAD_BYTES + 1))
    for _ in range(11):
        buffer.add("acme", "a", b"1")
    assert (buffer.waiting, buffer.dropped) == (10, 1)


def test_messages_whose_stream_is_something_else_are_lost_and_counted(
    buffer: Buffer, store: Store, clock: Clock
) -> None:
    store.lost = 2
    for _ in range(5):
        buffer.add("acme", "a", b"1")
    clock.advance(FLUSH_S)
    assert (buffer.stored, buffer.lost) == (3, 2)


async def test_what_redis_cannot_take_at_the_end_is_dropped_and_counted(buffer: Buffer, store: Store) -> None:
    store.away = True
    buffer.add("acme", "a", b"1")
    await buffer.stop()
    assert (buffer.stored, buffer.dropped, buffer.waiting, buffer.held) == (0, 1, 0, 0)


async def test_the_end_stores_what_is_there(buffer: Buffer, store: Store) -> None:
    buffer.add("acme", "a", b"1")
    await buffer.stop()
    assert store.texts("a") == [1]


def test_while_redis_is_nearly_full_nothing_is_stored(store: Store, clock: Clock) -> None:
    full = [True]
    buffer = Buffer(store.append, clock, is_full=lambda: full[0])
    buffer.start()
    buffer.add("acme", "a", b"1")
    clock.advance(FLUSH_S)
    assert (store.calls, buffer.waiting) == ([], 1)
    full[0] = False
    clock.advance(FLUSH_S)
    assert store.texts("a") == [1]


def test_a_flood_of_names_is_stored_in_parts_by_company(buffer: Buffer, store: Store, clock: Clock) -> None:
    for number in range(500):
        for company in ("acme", "globex"):
            buffer.add(company, f"{company}.{number}", b"1")
    clock.advance(FLUSH_S)
    assert [(company, len(said)) for company, said in store.calls] == [
        (company, count) for company in ("acme", "globex") for count in (ENTRIES_AT_ONCE, ENTRIES_AT_ONCE, 100)
    ]
