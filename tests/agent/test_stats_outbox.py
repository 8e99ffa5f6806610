"""Statistics wait for the master on the disk, oldest first, and never for ever."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from deployer.protocol.stats import Flush, Point, StatsBatch
from deployer_agent.outbox.batch import Batch
from deployer_agent.outbox.spool import Spool
from deployer_agent.outbox.stats import IN_MEMORY, StatsOutbox
from support.wait import until


class Box:
    """One life of an agent: an outbox over a file whose thread calls back at once."""

    def __init__(self, folder: Path, most_bytes: int = 10**9) -> None:
        self.roomy = True
        self.calls: list[tuple[object, ...]] = []
        self.spool = Spool.open(folder / "stats.db", lambda: 7, lambda *call: self.calls.append(call))
        self.box = StatsOutbox(self.spool, most_bytes, lambda: self.roomy)

    def turn(self) -> None:
        """Let the disk do what it was asked for."""
        done: list[object] = []
        self.spool._writer.run(lambda _: None).addCallback(done.append)
        until(lambda: self._call() or done, what="the disk")

    def _call(self) -> None:
        while self.calls:
            call, *arguments = self.calls.pop(0)
            call(*arguments)  # type: ignore[operator]

    def take(self) -> Batch:
        batch = self.box.take()
        if batch is None:
            self.turn()
            batch = self.box.take()
        assert batch is not None
        return batch

    def drain(self) -> list[int]:
        """Acknowledge all; the times of the flushes in the order in which they came."""
        seen = []
        while len(self.box._batches):
            batch = self.take()
            seen.append(at(batch))
            self.box.acknowledge(batch)
        return seen


def at(batch: Batch) -> int:
    return msgspec.json.decode(batch.body or b"", type=StatsBatch).flushes[0].at


def flush(at: int) -> Flush:
    return Flush(at, 30, [Point("", "", "load.1", "last", 0.5)])


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    box.spool.close()


def test_flushes_come_in_order_and_the_same_until_it_is_acknowledged(made: Box) -> None:
    for number in range(3):
        made.box.add(flush(number * 30))
    first = made.take()
    assert made.take() is first
    made.box.acknowledge(first)
    made.box.acknowledge(first)
    assert made.drain() == [30, 60]
    assert made.box.size == 0
    assert made.box.take() is None


def test_what_was_not_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Box(tmp_path)
    for number in range(3 * IN_MEMORY):
        first.box.add(flush(number * 30))
    first.turn()
    first.box.acknowledge(first.take())
    first.turn()
    first.spool.close()
    second = Box(tmp_path)
    second.box.add(flush(0))
    assert second.drain() == [*range(30, 3 * IN_MEMORY * 30, 30), 0]
    second.spool.close()


def test_the_oldest_is_dropped_where_there_are_too_many_bytes_but_for_the_one_on_its_way(tmp_path: Path) -> None:
    box = Box(tmp_path, most_bytes=500)
    box.box.add(flush(0))
    head = box.take()
    for number in range(1, 9):
        box.box.add(flush(number * 30))
    box.turn()
    assert box.box.size <= 500
    assert box.box.dropped > 0
    kept = box.drain()
    assert kept[0] == at(head) == 0
    assert kept[1:] == list(range(270 - 30 * len(kept[1:]), 270, 30))
    box.spool.close()


def test_without_room_on_the_disk_only_a_few_are_kept(made: Box) -> None:
    made.roomy = False
    for number in range(3 * IN_MEMORY):
        made.box.add(flush(number * 30))
    assert made.box.dropped == 2 * IN_MEMORY - 1
    assert made.drain() == [0, *range(2 * IN_MEMORY * 30, 3 * IN_MEMORY * 30, 30)]


def test_what_the_master_refuses_holds_up_no_other(made: Box) -> None:
    made.box.add(flush(0))
    made.box.add(flush(30))
    first = made.take()
    made.box.refuse(first, "422")
    made.box.refuse(first, "422")
    assert (made.drain(), made.box.dropped) == ([30], 1)


def test_what_is_gone_from_the_disk_is_passed_over(tmp_path: Path) -> None:
    first = Box(tmp_path)
    first.box.add(flush(0))
    first.box.add(flush(30))
    first.turn()
    first.spool.close()
    second = Box(tmp_path)
    second.spool._writer.run(lambda database: database.execute("DELETE FROM batch WHERE seq = 1").close())
    second.turn()
    assert second.box.take() is None
    second.turn()
    assert second.drain() == [30]
    assert second.box.dropped == 1
    second.spool.close()
