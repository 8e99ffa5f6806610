"""A disk that is full: new jobs are refused, results are kept, and all of it twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from deployer.protocol import codes
from deployer.protocol.commands import SignedCommand
from deployer_agent.errors import RefusedError
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.records import Entry
from deployer_agent.journal.space import BALLAST_FILE, Room, Space
from support.tmpfs import fill, small_disk

KB = 1024


class Disk:
    """A disk as large as the test says."""

    def __init__(self, folder: Path) -> None:
        self.free = 10_000 * KB
        self.space = Space(folder, 100 * KB, lambda _: Room(100_000 * KB, self.free))
        self.ballast = folder / BALLAST_FILE

    def refuses(self) -> bool:
        try:
            self.space.require()
        except RefusedError as error:
            return error.code == codes.NO_SPACE
        return False


def test_with_room_there_is_ballast_and_jobs_may_come(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.space.start()
    assert disk.ballast.stat().st_size == 100 * KB
    assert disk.ballast.stat().st_blocks * 512 >= 100 * KB
    assert (disk.refuses(), disk.space.roomy) == (False, True)


@pytest.mark.parametrize(
    ("free", "refuses", "roomy"),
    [(50, True, False), (100, False, False), (4000, False, False), (6000, False, True)],
)
def test_messages_stop_before_jobs_do(tmp_path: Path, free: int, refuses: bool, roomy: bool) -> None:  # noqa: FBT001
    disk = Disk(tmp_path)
    disk.space.start()
    disk.free = free * KB
    disk.space.look()
    assert (disk.refuses(), disk.space.roomy) == (refuses, roomy)


def test_the_ballast_is_given_up_when_the_journal_cannot_be_written_and_made_again_with_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.space.start()
    for _ in range(2):
        disk.free = 0
        disk.space.full()
        assert disk.refuses()
        assert not disk.ballast.exists()
        disk.free = 150 * KB
        disk.space.look()
        assert disk.refuses()
        disk.free = 10_000 * KB
        disk.space.look()
        assert not disk.refuses()
        assert disk.ballast.exists()


def test_a_start_without_room_is_a_scarce_one(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.free = 150 * KB
    disk.space.start()
    assert disk.refuses()
    assert not disk.ballast.exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "3m") as folder:
        yield folder


def entry(number: int) -> Entry:
    command = SignedCommand(
        id=f"j{number}",
        company="c",
        gid=1,
        nid=1,
        cmd="execute",
        args=b"{}",
        data_sha256="",
        created=1,
        not_after=2,  # type: ignore[arg-type]
    )
    return Entry(command, "p" * 2000, "")


async def test_results_are_journaled_on_a_full_disk_and_again_after_a_second_filling(small: Path) -> None:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (the journal's thread calls it)

    space = Space(small, 1024 * KB)
    journal = Journal.open(
        small / "journal.db",
        lambda: 1.0,
        reactor.callFromThread,
        create=True,
        on_full=space.full,  # type: ignore[attr-defined]
    )
    space.start()
    for round_ in range(2):
        filler = fill(small)
        failed: Any = None
        taken = 0
        while failed is None and taken < 2000:
            failed = await _outcome(journal.accept([entry(round_ * 10_000 + taken)], lambda _: b""))
            taken += failed is None
        assert failed is not None
        assert space.scarce
        assert await _outcome(journal.finish([((f"j{round_ * 10_000}", 1), b"r" * 100_000)])) is None
        filler.unlink()
        space.look()
        assert not space.scarce
        assert (small / BALLAST_FILE).exists()
        assert await _outcome(journal.accept([entry(round_ * 10_000 + 5000)], lambda _: b"")) is None
    journal.close()


async def _outcome(done: Deferred[Any]) -> Any:
    """None when it worked, else the error."""
    try:
        await done
    except Exception as error:  # noqa: BLE001 (whatever it was)
        return error
    return None
