"""A wall clock that is put right by a day, either way, ends no job early, hangs nothing and doubles nothing."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.programs import Fleet, Program, fleet
from support.wait import until

DAY_S = 86_400
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed: apt install libfaketime")


class Clock:
    """The wall clock that one program sees; the monotonic one is everybody's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    def step(self, seconds: int) -> None:
        """Be so far ahead of the real time."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        os.replace(fresh, self._file)


def restart(program: Program, clock: Clock) -> None:
    program.stop()
    program.start(**clock.environment)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as made:
        made.start_master()
        made.start_agent()
        yield made


def off_by(stamp: str) -> float:
    """How far a time of the API is from the real one (s)."""
    return datetime.fromisoformat(stamp).astimezone(UTC).timestamp() - time.time()


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
def test_a_step_of_the_masters_clock_changes_no_job(running: Fleet, tmp_path: Path, seconds: int) -> None:
    clock = Clock(tmp_path / "clock")
    restart(running.master, clock)
    until(running.is_ready, what="the master")
    running.submit("before", "/bin/sh", "-c", "sleep 4; echo done", max_time=60)
    running.submit("daemon", "/bin/sleep", "1000", max_time=-1)
    until(lambda: running.job("before")["state"] == "RUNNING", what="the job to run")
    clock.step(seconds)
    created = running.submit("after", "/bin/echo", "hi")["created"]
    assert abs(off_by(created) - seconds) < DAY_S / 24, "the step was not seen"
    assert running.job("after", 30)["state"] == "OK"
    assert running.job("before", 30)["state"] == "OK"
    assert running.job("daemon")["state"] == "RUNNING"
    assert running.ask("GET", "/api/v1/agents/1:1")[1]["state"] == "online"
    assert running.ask("DELETE", "/api/v1/jobs/daemon")[0] == 202
    assert running.job("daemon", 30)["state"] == "KILLED"


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
def test_a_step_of_the_agents_clock_changes_no_job(running: Fleet, tmp_path: Path, seconds: int) -> None:
    clock, marks = Clock(tmp_path / "clock"), tmp_path / "marks"
    restart(running.agents[1], clock)
    running.submit("before", "/bin/sh", "-c", "sleep 4; echo done", max_time=60)
    running.submit("quiet", "/bin/sleep", "5", watchdog=60)
    running.submit("often", "/bin/sh", "-c", f'echo "$DEPLOYER_RUN" >> {marks}', recurring_period=1)
    until(lambda: marks.exists() and running.job("before")["state"] == "RUNNING", what="the jobs to run")
    clock.step(seconds)
    running.submit("after", "/bin/echo", "hi", max_time=60)
    assert running.job("after", 30)["state"] == "OK"
    epoch = running.ask("GET", "/api/v1/jobs/after/log")[1]["items"][0]["epoch"] / 1000
    assert abs(epoch - time.time() - seconds) < DAY_S / 24, "the step was not seen"
    assert [running.job(job, 30)["state"] for job in ("before", "quiet")] == ["OK", "OK"]
    runs = len(marks.read_text().split())
    until(lambda: len(marks.read_text().split()) >= runs + 3, what="more periods")
    found = marks.read_text().split()
    assert len(found) == len(set(found))
    assert len(found) < 30, "missed periods were bunched"
