"""A journal that is damaged, too open or cannot be written stops the agent with one clear line, and is left alone."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import Raw
from twisted.internet import reactor  # noqa: TID251 (its thread calls back)

from deployer.protocol.commands import SignedCommand
from deployer_agent.errors import JournalError
from deployer_agent.journal.database import VERSION, open_database
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.records import Entry
from support.programs import ROOT, environment
from support.tmpfs import remount, small_disk

TWISTD = str(Path(sys.executable).with_name("twistd"))


async def _crashed(folder: Path) -> Path:
    """A data directory as kill -9 leaves it: a task is accepted, and that is in the WAL alone."""
    living = folder / "living"
    living.mkdir()
    call = reactor.callFromThread  # type: ignore[attr-defined]  # zope's interfaces
    journal = Journal.open(living / "journal.db", time.time, call, create=True)
    await journal.accept([_entry("a")], lambda _: b"")
    crashed = folder / "crashed"
    shutil.copytree(living, crashed)
    journal.close()
    crashed.chmod(0o700)
    (crashed / "agent.key").write_bytes(b"k" * 32)
    (crashed / "agent.key").chmod(0o600)
    return crashed


def _entry(id_: str) -> Entry:
    numbers = {"gid": 1, "nid": 1, "created": 1, "not_after": 4_000_000_000_000}
    command = SignedCommand(id=id_, company="c", cmd="ping", args=Raw(b"{}"), data_sha256="", **numbers)
    return Entry(command, "payload", "")


def _wal(path: Path) -> Path:
    return path.with_name("journal.db-wal")


def _zero(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage!" * (path.stat().st_size // 8))


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def _version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:6000]), "cannot be used|damaged"),
    "zeroed": (_zero, "has lost its contents"),
    "empty": (lambda path: path.write_bytes(b""), "has lost its contents"),
    "garbage": (_garbage, "cannot be used"),
    "missing": (Path.unlink, "missing"),
    "wal zeroed": (lambda path: _zero(_wal(path)), "journal.db-wal is not what was written"),
    "wal garbage": (lambda path: _garbage(_wal(path)), "journal.db-wal is not what was written"),
    "wal header": (lambda path: _flip(_wal(path), 17), "journal.db-wal is not what was written"),
    "wal short": (lambda path: _wal(path).write_bytes(_wal(path).read_bytes()[:20]), "is not what was written"),
    "newer": (lambda path: _version(path, VERSION + 1), "install a newer agent"),
    "older": (lambda path: _version(path, 0), "has lost its contents"),
    "readable": (lambda path: path.chmod(0o644), "mode 0644, so others can use it: chmod 600"),
    "wal readable": (lambda path: _wal(path).chmod(0o640), "mode 0640, so others can use it: chmod 600"),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_it_is_refused_and_left_as_it_is(tmp_path: Path, what: str) -> None:
    journal = await _crashed(tmp_path) / "journal.db"
    damage, sentence = DAMAGE[what]
    damage(journal)
    files = {path.name for path in journal.parent.iterdir()}
    for _ in range(2):  # the second start finds no other journal
        with pytest.raises(JournalError, match=sentence):
            open_database(journal)
    assert {path.name for path in journal.parent.iterdir()} <= files


async def test_a_sound_wal_is_taken_over_and_so_is_one_that_ends_in_the_middle(tmp_path: Path) -> None:
    journal = await _crashed(tmp_path) / "journal.db"
    with _wal(journal).open("ab") as wal:
        wal.write(b"\0" * 2000)
    database = open_database(journal)
    assert database.execute("SELECT id FROM job").fetchall() == [("a",)]
    database.close()


def _start(data_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [TWISTD, "-n", "--pidfile=", "deployer-agent", f"--data-dir={data_dir}", "--allow-root"]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=ROOT, timeout=60, check=False)


def _assert_one_line(done: subprocess.CompletedProcess[str], part: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if "deployer-agent: " in line]
    assert len(said) == 1
    assert part in said[0]


@pytest.mark.parametrize("what", ["truncated", "zeroed", "empty", "wal zeroed", "newer", "readable", "missing"])
async def test_the_program_says_one_line_and_ends_with_status_1(tmp_path: Path, what: str) -> None:
    crashed = await _crashed(tmp_path)
    DAMAGE[what][0](crashed / "journal.db")
    before = (crashed / "journal.db").exists()
    _assert_one_line(_start(crashed), f"the journal {crashed / 'journal.db'}")
    assert (crashed / "journal.db").exists() == before


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "64m") as disk:
        (disk / "d").mkdir()
        yield disk / "d"
        remount(disk, "rw")


async def test_a_read_only_disk_is_said_in_one_line(tmp_path: Path, read_only: Path) -> None:
    crashed = shutil.copytree(await _crashed(tmp_path), read_only / "a")
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(read_only.parent)], check=True)
    with pytest.raises(JournalError, match=r"Read-only file system.*make it writable"):
        open_database(crashed / "journal.db")
    _assert_one_line(_start(crashed), "Read-only file system")


async def test_a_directory_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    crashed = await _crashed(tmp_path)
    (crashed / "journal.db").unlink()
    crashed.chmod(0o755)
    _assert_one_line(_start(crashed), "missing")
    assert crashed.stat().st_mode & 0o777 == 0o700
