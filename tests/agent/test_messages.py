"""The store of messages with the real sqlite: written in batches, bounded, found again, removed."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.getmsgs import epoch_ms
from deployer_agent.messages import query
from deployer_agent.messages.query import Filter, Page
from deployer_agent.messages.store import CHECK_ROWS, HOLD_BYTES, Bounds, MessageStore, Row
from support.wait import until


class House:
    """A store whose thread's calls wait until they are made."""

    def __init__(self, folder: Path, bounds: Bounds = Bounds()) -> None:
        self.folder = folder / "messages"
        self.epoch = 1000.0
        self.holds: list[tuple[str, bool]] = []
        self.roomy = True
        self._calls: deque[Any] = deque()
        self.store = MessageStore(
            self.folder,
            bounds,
            lambda: self.epoch,
            lambda *call: self._calls.append(call),
            on_hold=lambda task, held: self.holds.append((task, held)),
            may_write=lambda: self.roomy,
        )
        self.store.start()

    def say(self, *rows: Row) -> None:
        self.store.add(rows[0][2], list(rows), sum(len(row[7]) for row in rows))

    def turn(self) -> None:
        done: list[object] = []
        self.store.written_through().addCallback(done.append)
        until(lambda: self._make_calls() or done, what="the store")

    def _make_calls(self) -> None:
        while self._calls:
            call, *arguments = self._calls.popleft()
            call(*arguments)

    def find(self, *, after: int | None = None, ascending: bool = False, count: int = 1000, **wanted: Any) -> Page:
        return query.page(self.store.files, Filter(**wanted), after=after, ascending=ascending, count=count)

    def texts(self, **wanted: Any) -> list[str]:
        return [found.data for found in self.find(**wanted).items]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.stop()


def row(seq: int, text: str = "", *, job: str = "j", level: int = 1, epoch: int | None = None, name: str = "n") -> Row:
    return seq, seq % 2**32, job, "d", name, seq * 1000 if epoch is None else epoch, level, text or f"m{seq}", 0


def test_what_was_said_is_found_newest_first_by_each_filter(house: House) -> None:
    house.say(row(1), row(2, level=2), row(3, level=9))
    house.say(row(4, job="k", name="other"))
    house.turn()
    assert house.texts() == ["m4", "m3", "m2", "m1"]
    assert house.texts(ascending=True) == ["m1", "m2", "m3", "m4"]
    assert house.texts(jobid="k") == ["m4"]
    assert house.texts(levels=frozenset({2, 9})) == ["m3", "m2"]
    assert house.texts(levels=frozenset({1, 9})) == ["m4", "m3", "m1"]
    assert house.texts(levels=frozenset()) == []
    assert house.texts(timefrom=2000, timeto=3000) == ["m3", "m2"]
    assert house.texts(domain="d", name="other") == ["m4"]
    assert house.texts(jobid="' OR ''='") == []


def test_pages_follow_one_another_in_both_directions(house: House) -> None:
    house.say(*[row(number) for number in range(1, 26)])
    house.turn()
    for ascending in (False, True):
        found: list[int] = []
        after = None
        while True:
            page = house.find(after=after, ascending=ascending, count=10)
            found += [item.seq for item in page.items]
            if page.next is None:
                break
            after = page.next
        assert found == sorted(range(1, 26), reverse=not ascending)


def test_a_page_ends_before_it_is_too_large_for_a_result(house: House) -> None:
    house.say(*[row(number, "\x01" * 20_000) for number in range(1, 30)])
    house.turn()
    page = house.find()
    assert 1 < len(page.items) < 10
    assert page.next == page.items[-1].seq


def test_the_number_goes_on_where_the_id_begins_anew(house: House) -> None:
    wrap = 2**32
    house.say(row(wrap - 1), row(wrap), row(wrap + 1))
    house.turn()
    found = house.find(ascending=True).items
    assert [item.id for item in found] == [wrap - 1, 0, 1]
    assert [item.seq for item in found] == [wrap - 1, wrap, wrap + 1]


def test_a_full_file_is_renamed_by_the_time_and_the_oldest_go_when_all_are_too_large(tmp_path: Path) -> None:
    house = House(tmp_path, Bounds(file=500_000, total=3_000_000))
    seq = 0
    for round_ in range(8):
        house.epoch = 1000.0 + round_
        house.say(*[row(seq + number, "x" * 50, job=f"j{round_}") for number in range(1, CHECK_ROWS + 1)])
        seq += CHECK_ROWS
        house.turn()
    names = [path.name for path in house.store.files.full()]
    assert names[0] == "1007.db"
    assert "1000.db" not in names
    assert house.store.files_dropped > 0
    assert sum(path.stat().st_size for path in house.folder.glob("*.db")) < 5_000_000
    assert house.find(jobid="j7", count=5).items[0].seq == seq
    assert house.find(jobid="j0").items == []
    house.store.stop()


def test_messages_are_removed_from_all_files(tmp_path: Path) -> None:
    house = House(tmp_path, Bounds(file=500_000, total=10**9))
    house.say(*[row(number, job="old" if number % 2 else "keep") for number in range(1, CHECK_ROWS + 1)])
    house.turn()
    house.say(row(CHECK_ROWS + 1, job="old"), row(CHECK_ROWS + 2, job="keep"))
    house.turn()
    assert len(house.store.files.full()) == 1
    removed: list[int] = []
    house.store.run(lambda database: removed.append(query.delete(database, Filter(jobid="old"))))
    house.turn()
    assert removed == [1]
    assert query.delete_in_full(house.store.files, Filter(jobid="old")) == (CHECK_ROWS // 2, [])
    assert house.find(jobid="old").items == []
    assert house.find(jobid="keep", count=1).items[0].seq == CHECK_ROWS + 2
    house.store.stop()


def test_a_damaged_file_is_passed_over_and_named(house: House) -> None:
    (house.folder / "900.db").write_bytes(b"\xa5" * 10_000)
    house.say(row(1))
    house.turn()
    page = house.find()
    assert [item.data for item in page.items] == ["m1"]
    assert page.skipped == ["900.db"]
    assert query.delete_in_full(house.store.files, Filter()) == (0, ["900.db"])


def test_a_damaged_current_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "messages").mkdir(mode=0o700)
    (tmp_path / "messages" / "current.db").write_bytes(b"SQLite format 3\x00" + b"\xa5" * 10_000)
    house = House(tmp_path)
    house.say(row(1))
    house.turn()
    assert house.texts() == ["m1"]
    assert (house.folder / "current.db.bad.1000").exists()
    house.store.stop()


def test_a_task_is_kept_when_its_own_rows_are_written_and_at_once_when_it_has_said_nothing(house: House) -> None:
    done: list[str] = []
    house.store.kept("silent").addCallback(lambda _: done.append("silent"))
    assert done == ["silent"]
    house.say(row(1, job="j"))
    house.store.kept("j").addCallback(lambda _: done.append("j"))
    assert done == ["silent"]
    house.turn()
    assert done == ["silent", "j"]
    house.store.kept("j").addCallback(lambda _: done.append("again"))
    assert done[-1] == "again"


def test_only_who_says_too_much_at_once_is_held(house: House) -> None:
    house.say(row(1, job="quiet"))
    house.say(*[row(number, "x" * 1000, job="loud") for number in range(2, HOLD_BYTES // 1000 + 10)])
    assert house.holds == [("loud", True)]
    house.turn()
    assert house.holds == [("loud", True), ("loud", False)]


def test_without_room_messages_are_counted_and_not_written(house: House) -> None:
    house.roomy = False
    house.say(row(1), row(2))
    house.turn()
    house.roomy = True
    house.say(row(3))
    house.turn()
    assert (house.texts(), house.store.lost) == (["m3"], 2)


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (1.5, 1500),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
        ("2026-11-23T01:02:03.456Z", 1_795_395_723_456),
        ("2026-11-23", 1_795_392_000_000),
    ],
)
def test_times_are_seconds_or_ms_or_iso(value: float | str, ms: int) -> None:
    assert epoch_ms(value) == ms


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers()))
def test_any_other_time_is_refused(value: float | str) -> None:
    try:
        assert 0 <= epoch_ms(value) < 253_402_300_800_000
    except ValueError:
        return
