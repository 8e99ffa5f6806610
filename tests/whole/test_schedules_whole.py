"""Schedules with two real masters on one Redis: each slot once, also when one of them is gone between two steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deployer.cli.main import main
from support.masters import Masters, masters
from support.programs import Fleet
from support.wait import until

ENOUGH = 5


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Masters]:
    with masters(tmp_path) as made:
        made.start(1)
        made.start(2)
        made.start_agent(1, made.urls[2])
        yield made


class Often:
    """A schedule that fires each second; each of its jobs leaves a mark."""

    def __init__(self, made: Masters, folder: Path) -> None:
        self.masters = made
        self.marks = folder / "marks"
        args = {"cmd": "/bin/sh", "args": ["-c", f"echo $DEPLOYER_JOB >> {self.marks}"]}
        body = {"name": "often", "every_s": 1, "job": {"cmd": "execute", "args": args, "target": "1:1"}}
        status, answer = made.ask(2, "POST", "/api/v1/schedules", body)
        assert status == 201, answer
        self.href = answer["href"]
        self.id = answer["id"]

    def shown(self) -> dict[str, Any]:
        status, answer = self.masters.ask(2, "GET", self.href)
        assert status == 200
        found: dict[str, Any] = answer
        return found

    def fires(self, times: int) -> None:
        """Wait until it has fired so often more."""
        wanted = self.shown()["counts"]["fired"] + times
        until(lambda: self.shown()["counts"]["fired"] >= wanted, what=f"{times} firings")

    def require_each_slot_once(self) -> None:
        """All slots were dealt with in their order, each that fired has one job, and each job has run once."""
        assert self.masters.ask(2, "PATCH", self.href, {"paused": True})[0] == 200
        jobs = self._jobs()
        fired = self.shown()["counts"]["fired"]
        assert len(jobs) == fired
        for job in jobs:
            assert self.masters.ask(2, "GET", f"/api/v1/jobs/{job}?wait=30")[1]["state"] == "OK"
        assert sorted(self.marks.read_text().split()) == jobs
        firings = self.masters.ask(2, "GET", f"{self.href}/firings")[1]["items"]
        slots = [one["at"] for one in reversed(firings)]
        assert slots == sorted(set(slots))
        assert {one["outcome"] for one in firings} <= {"fired", "skipped", "missed"}

    def _jobs(self) -> list[str]:
        """Once nothing waits to be dealt with."""

        def settled() -> list[str] | None:
            page = self.masters.ask(2, "GET", f"/api/v1/jobs?schedule={self.id}&limit=1000")[1]
            jobs = sorted(one["id"] for one in page["items"])
            return jobs if len(jobs) == self.shown()["counts"]["fired"] else None

        return until(settled, what="all slots to be noted")


def test_two_masters_fire_each_slot_once(two: Masters, tmp_path: Path) -> None:
    often = Often(two, tmp_path)
    often.fires(ENOUGH)
    often.require_each_slot_once()
    counts = often.shown()["counts"]
    assert counts["refused"] == 0


def test_a_killed_master_neither_loses_nor_doubles_a_slot(two: Masters, tmp_path: Path) -> None:
    often = Often(two, tmp_path)
    often.fires(2)
    two.masters[1].kill()
    often.fires(ENOUGH)
    two.start(1)
    often.fires(2)
    often.require_each_slot_once()


@pytest.mark.parametrize("step", ["schedule_planned", "schedule_taken", "schedule_submitted"])
def test_a_master_that_is_gone_between_two_steps_neither_loses_nor_doubles_a_slot(tmp_path: Path, step: str) -> None:
    with masters(tmp_path) as two:
        first = two.start(1, DEPLOYER_FAILPOINTS=f"{step}=crash@1")
        two.start(2)
        two.start_agent(1, two.urls[2])
        often = Often(two, tmp_path)
        two.masters[2].kill()  # so that it is the other one that fires
        process = first.process
        assert process is not None
        assert until(lambda: process.poll() or 0, what=f"the crash at {step}") == 70
        two.start(2)
        often.fires(ENOUGH)
        often.require_each_slot_once()


def test_schedules_are_kept_from_the_command_line(running: Fleet) -> None:
    environment = {"DEPLOYER_URL": running.url, "DEPLOYER_TOKEN_FILE": str(running.data / "admin-token")}

    def shell(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["schedules", *arguments], env=environment, prog_name="deployer")
        assert done.exit_code == code, (arguments, done.output, done.exception)
        return done.stdout

    shell("add", "tick", "--every", "1s", "-t", "1:1", "--", "/bin/echo", "hi")
    shell("add", "night", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--paused", "-t", "1:1", "true")
    shell("add", "never", "--cron", "0 0 30 2 *", "-t", "1:1", "true", code=2)
    until(lambda: "\tfired\t" in shell("show", "tick"), what="a firing")
    shell("pause", "tick")
    rows = [line.split("\t") for line in shell().splitlines()]
    assert [row[:3] for row in rows] == [
        ["tick", "every 1 s", "paused"],
        ["night", "30 2 * * * Europe/Berlin", "paused"],
    ]
    job = shell("run", "night", "-q").strip()
    assert running.ask("GET", f"/api/v1/jobs/{job}?wait=30")[1]["state"] == "OK"
    shell("resume", "night")
    assert "paused" not in shell("show", "night")
    shell("rm", "tick")
    shell("show", "tick", code=4)
