"""The journal with the real sqlite: reopened as a crash leaves it, damaged, too new, in use."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import Raw
from twisted.internet import reactor  # noqa: TID251 (its thread calls back)
from twisted.internet.defer import gatherResults

from deployer.protocol.commands import SignedCommand
from deployer_agent.errors import JournalError
from deployer_agent.journal import runs, statements
from deployer_agent.journal.database import VERSION, open_database
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.records import KEEP_MS, Entry, History

NOW_S = 2_000_000_000


class Clocked:
    """A directory with a journal whose time is set by hand."""

    def __init__(self, path: Path) -> None:
        self.now = float(NOW_S)
        self.path = path / "journal.db"
        self._open: list[Journal] = []

    def open(self, path: Path | None = None, *, create: bool = False) -> Journal:
        call = reactor.callFromThread  # type: ignore[attr-defined]  # zope's interfaces
        journal = Journal.open(path or self.path, lambda: self.now, call, create=create)
        self._open.append(journal)
        return journal

    def close(self, journal: Journal) -> None:
        self._open.remove(journal)
        journal.close()

    def close_all(self) -> None:
        for journal in list(self._open):
            self.close(journal)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Clocked]:
    made = Clocked(tmp_path)
    yield made
    made.close_all()


def entry(id_: str, *, created: int = NOW_S * 1000, text: str = "", refusal: bytes | None = None) -> Entry:
    command = SignedCommand(
        id=id_,
        company="c",
        gid=1,
        nid=1,
        cmd="ping",
        args=Raw(b"{}"),
        data_sha256="",
        created=created,
        not_after=created,
    )
    return Entry(command, f"payload {text}", "data", refusal)


def too_old(_: Entry) -> bytes:
    return b"too old"


async def test_what_was_written_is_there_after_a_crash(place: Clocked, tmp_path: Path) -> None:
    journal = place.open(create=True)
    await journal.accept([entry("a"), entry("b"), entry("c"), entry("d")], too_old)
    await journal.start([("b", 1), ("c", 1), ("d", 1)])
    await journal.finish([(("c", 1), b"result"), (("d", 1), b"result")])
    await journal.sent([("d", 1)])
    crashed = tmp_path / "crashed"
    shutil.copytree(tmp_path, crashed, ignore=shutil.ignore_patterns("crashed"))
    again = place.open(crashed / "journal.db")
    rows = {row.key[0]: (row.stage, row.result, row.payload) for row in await again.unsent()}
    assert rows == {
        "a": ("ACCEPTED", None, "payload "),
        "b": ("STARTED", None, "payload "),
        "c": ("FINISHED", b"result", "payload "),
    }
    assert again.instance == journal.instance


async def test_it_tells_whether_the_agent_before_ended_in_order(place: Clocked) -> None:
    first = place.open(create=True)
    assert first.clean
    await first.end_clean()
    first.close()
    second = place.open()
    assert second.clean
    second.close()
    assert not place.open().clean


async def test_the_same_again_is_known_and_another_payload_is_a_replay(place: Clocked) -> None:
    journal = place.open(create=True)
    assert [known.kind for known in await journal.accept([entry("a"), entry("a"), entry("a", text="x")], too_old)] == [
        "new",
        "same",
        "other",
    ]


async def test_the_first_result_stays(place: Clocked) -> None:
    journal = place.open(create=True)
    await journal.accept([entry("a")], too_old)
    await journal.finish([(("a", 1), b"first")])
    await journal.finish([(("a", 1), b"second")])
    assert (await journal.accept([entry("a")], too_old))[0].result == b"first"


async def test_a_refusal_is_a_result_from_the_beginning(place: Clocked) -> None:
    journal = place.open(create=True)
    known = (await journal.accept([entry("a", refusal=b"no")], too_old))[0]
    assert (known.stage, known.result) == ("FINISHED", b"no")


async def test_a_row_that_never_ran_may_still_be_started_when_the_master_says_so(place: Clocked) -> None:
    journal = place.open(create=True)
    await journal.accept([entry("a")], too_old)
    await journal.end([("a", 1)])
    assert await journal.unsent() == []
    assert (await journal.accept([entry("a")], too_old))[0].kind == "new"
    assert (await journal.unsent())[0].payload == "payload "


async def test_rows_are_forgotten_after_a_week_and_what_is_as_old_is_refused_from_then_on(place: Clocked) -> None:
    journal = place.open(create=True)
    await journal.accept([entry("a"), entry("open", created=1)], too_old)
    await journal.finish([(("a", 1), b"r")])
    await journal.sent([("a", 1)])
    place.now += KEEP_MS / 1000
    assert await journal.forget() == 0
    place.now += 1
    assert await journal.forget() == 1
    assert not await journal.knows("a")
    assert await journal.knows("open")
    later = entry("n", created=NOW_S * 1000 + 1)
    assert [known.result for known in await journal.accept([entry("a"), later], too_old)] == [b"too old", None]


async def test_many_writes_share_a_commit(place: Clocked) -> None:
    journal = place.open(create=True)
    await gatherResults([journal.accept([entry(f"t{number}")], too_old) for number in range(200)])
    assert journal.commits < 100


async def test_one_write_that_fails_does_not_fail_the_others(place: Clocked) -> None:
    journal = place.open(create=True)
    good, bad = journal.accept([entry("a")], too_old), journal._writer.run(lambda base: base.execute("nonsense"))
    with pytest.raises(sqlite3.OperationalError):
        await bad
    assert (await good)[0].kind in {"new", "same"}
    assert await journal.knows("a")


def test_a_second_agent_on_the_directory_is_refused(place: Clocked) -> None:
    place.open(create=True)
    with pytest.raises(JournalError, match="in use"):
        place.open()


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA user_version = 99")


def _zeroed(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


DAMAGE = [
    (lambda path: path.write_bytes(b""), "damaged|contents"),
    (lambda path: path.write_bytes(b"garbage" * 1000), "cannot be used"),
    (Path.unlink, "missing"),
    (_newer, "newer agent"),
    (_zeroed, "cannot be used|contents"),
    (_cut, "cannot be used|damaged"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE)
def test_a_journal_that_cannot_be_used_stops_the_start_and_is_not_replaced(
    place: Clocked, damage: object, sentence: str
) -> None:
    place.close(place.open(create=True))
    damage(place.path)  # type: ignore[operator]  # a table of functions
    with pytest.raises(JournalError, match=sentence):
        place.open()
    if place.path.exists():
        with pytest.raises(JournalError, match=sentence):
            place.open()


FIRST_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, run INTEGER NOT NULL,
    stage TEXT NOT NULL, digest TEXT NOT NULL, payload TEXT NOT NULL, data TEXT NOT NULL,
    created INTEGER NOT NULL, not_after INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0, touched INTEGER NOT NULL,
    result BLOB, sent INTEGER NOT NULL DEFAULT 0,
    UNIQUE (id, run)
);
CREATE INDEX job_unsent ON job (seq) WHERE sent = 0;
CREATE INDEX job_sent ON job (max(not_after, touched)) WHERE sent = 1;
INSERT INTO meta VALUES ('instance', 'abc'), ('horizon', '5'), ('messages', '7');
INSERT INTO job VALUES (1, 'old', 1, 'STARTED', 'd', 'p', '', 1, 2, 3, 4, NULL, 0);
PRAGMA user_version = 1;
"""


def test_a_journal_of_the_first_schema_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as first:
        first.executescript(FIRST_SCHEMA)
    for _ in range(2):
        with closing(open_database(path)) as database:
            assert database.execute("PRAGMA user_version").fetchone()[0] == VERSION
            (row,) = statements.unsent(database)
            assert (row.key, row.stage, row.history) == (("old", 1), "STARTED", History(begun=1))
            assert runs.processes(database) == []


def test_a_copy_in_another_place_is_another_instance(tmp_path: Path) -> None:
    def instance(place: str) -> str:
        journal = Journal.open(tmp_path / "journal.db", lambda: 1.0, lambda *_: None, create=True, place=place)
        journal.close()
        return journal.instance

    here = instance("here")
    assert instance("here") == here
    there = instance("there")
    assert there != here
    assert instance("there") == instance("") == there
