"""The real agent on a disk that is full, read-only, or damaged (RELIABILITY 2.6 i, A10)."""

import itertools
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.programs import Fleet, Program, environment, fleet
from support.tmpfs import fill, remount, small_disk
from support.wait import until

SMALL = "ballast_bytes = 1048576\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as made:
        made.start_master()
        yield made


def config(running: Fleet) -> Path:
    """The file of an agent with a small ballast."""
    file = running.folder / "agent.toml"
    file.write_text(SMALL)
    return file


def test_a_full_disk_refuses_new_jobs_loses_no_result_and_all_flows_when_there_is_room(running: Fleet) -> None:
    numbers = itertools.count()

    def outcome() -> tuple[str, str | None]:
        """Of one more job."""
        job = f"n{next(numbers)}"
        running.submit(job, "/bin/echo", "20::1", wait_s=30)
        return running.job(job, 30)["state"], running.task(job)["code"]

    with small_disk(running.agent_data(1), "16m") as disk:
        agent = running.start_agent(1, "--config", str(config(running)))
        for round_ in range(2):
            go = running.folder / f"go{round_}"
            line = f"while [ ! -e {go} ]; do echo waiting; sleep 0.2; done; echo 20::7"
            running.submit(f"long{round_}", "/bin/sh", "-c", line)
            until(lambda round_=round_: running.job(f"long{round_}")["state"] == "RUNNING", what="the long job")
            filler = fill(disk)
            until(lambda: outcome() == ("ERROR", "NO_SPACE"), what="a refusal")
            assert running.ask("POST", "/api/v1/jobs?wait=30", {"cmd": "ping", "target": "1:1"})[1]["state"] == "OK"
            go.touch()
            assert running.job(f"long{round_}", 60)["state"] == "OK"
            assert running.task(f"long{round_}")["data"] == "7"
            filler.unlink()
            until(lambda: outcome() == ("OK", None), what="a job that runs again")
        assert agent.stop() == 0


def _truncate(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])


def _zero(journal: Path) -> None:
    journal.write_bytes(bytes(journal.stat().st_size))


def _empty(journal: Path) -> None:
    journal.write_bytes(b"")


def _garbage(journal: Path) -> None:
    journal.write_bytes(b"\xa5" * journal.stat().st_size)


def _newer(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as database:
        database.execute("PRAGMA user_version = 99")


def _open_to_others(journal: Path) -> None:
    journal.chmod(0o644)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_truncate, "not replaced"),
        (_zero, "not replaced"),
        (_empty, "lost its contents"),
        (_garbage, "not replaced"),
        (Path.unlink, "is missing although this agent has a key"),
        (_newer, "install a newer agent"),
        (_open_to_others, "chmod 600"),
    ],
)
def test_a_journal_that_cannot_be_used_ends_the_start_with_one_line(
    running: Fleet, damage: Callable[[Path], None], sentence: str
) -> None:
    agent = running.start_agent()
    for number in range(20):
        running.submit(f"j{number}", "/bin/true", wait_s=30)
    assert agent.stop() == 0
    journal = running.agent_data(1) / "journal.db"
    damage(journal)
    before = journal.read_bytes() if journal.exists() else None
    said = refused_start(agent)
    assert sentence in said
    assert (journal.read_bytes() if journal.exists() else None) == before


def test_a_write_ahead_log_that_is_not_what_was_written_ends_the_start_too(running: Fleet) -> None:
    """Sqlite passes over it in silence, and would have forgotten what was started."""
    agent = running.start_agent()
    running.submit("j", "/bin/true", wait_s=30)
    agent.kill()
    log = running.agent_data(1) / "journal.db-wal"
    kept = log.read_bytes()
    log.write_bytes(bytes(len(kept)))
    assert "journal.db-wal is not what was written" in refused_start(agent)
    log.write_bytes(kept)
    running.start_agent()
    running.submit("k", "/bin/true", wait_s=30)
    assert running.job("k", 30)["state"] == "OK"


def test_a_read_only_disk_ends_the_start_with_one_line(running: Fleet) -> None:
    with small_disk(running.agent_data(1), "16m") as disk:
        agent = running.start_agent(1, "--config", str(config(running)))
        assert agent.stop() == 0
        remount(disk, "ro")
        assert "read-only" in refused_start(agent).lower().replace("readonly", "read-only")
        remount(disk, "rw")
        running.start_agent(1, "--config", str(config(running)))


def refused_start(agent: Program) -> str:
    """Start it, see it end with status 1; the one line that it says of why."""
    outcome = subprocess.run(
        agent.arguments, capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    said = outcome.stdout + outcome.stderr
    assert outcome.returncode == 1, said
    lines = [line.partition("deployer-agent: ")[2] for line in said.splitlines() if "deployer-agent: " in line]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]
