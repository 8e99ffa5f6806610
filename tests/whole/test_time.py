"""A wall clock that is put right by a day, either way, ends no job early, hangs nothing and doubles nothing."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.masters import masters
from support.programs import Fleet, Program
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
        fresh.replace(self._file)


def restart(program: Program, clock: Clock) -> None:
    program.stop()
    program.start(**clock.environment)


def off_by(stamp: str) -> float:
    """How far a time of the API is from the real one (s)."""
    return datetime.fromisoformat(stamp).astimezone(UTC).timestamp() - time.time()


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
def test_a_step_of_a_masters_clock_changes_no_job(tmp_path: Path, seconds: int) -> None:
    """Of one of two masters, whose Redis has its own clock."""
    clock = Clock(tmp_path / "clock")
    with masters(tmp_path) as two:
        two.start(1, **clock.environment)
        two.start(2)
        two.start_agent(1, two.urls[1])
        two.submit(1, "before", "sleep 4; echo done", max_time=60)
        two.submit(1, "daemon", "exec sleep 1000", max_time=-1)
        until(lambda: two.ask(2, "GET", "/api/v1/jobs/before")[1]["state"] == "RUNNING", what="the job to run")
        clock.step(seconds)
        created = two.submit(1, "after", "echo hi")["created"]
        assert abs(off_by(created) - seconds) < DAY_S / 24, "the step was not seen"
        for number in (1, 2):
            assert two.ask(number, "GET", "/api/v1/jobs/after?wait=30")[1]["state"] == "OK"
            assert two.ask(number, "GET", "/api/v1/jobs/before?wait=30")[1]["state"] == "OK"
            assert two.ask(number, "GET", "/api/v1/jobs/daemon")[1]["state"] == "RUNNING"
            assert two.is_online(1)
        two.submit(2, "other", "echo hi")
        assert two.ask(1, "GET", "/api/v1/jobs/other?wait=30")[1]["state"] == "OK"
        assert two.ask(1, "DELETE", "/api/v1/jobs/daemon")[0] == 202
        assert two.ask(1, "GET", "/api/v1/jobs/daemon?wait=30")[1]["state"] == "KILLED"


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


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
def test_a_step_of_a_masters_clock_changes_no_time_of_a_schedule(tmp_path: Path, seconds: int) -> None:
    clock = Clock(tmp_path / "clock")
    with masters(tmp_path) as made:
        made.start(1, **clock.environment)
        made.start_agent(1, made.urls[1])
        job = {"cmd": "execute", "args": {"cmd": "/bin/true"}, "target": "1:1"}
        schedule = {"name": "often", "every_s": 1, "overlap": "queue", "job": job}
        href = made.ask(1, "POST", "/api/v1/schedules", schedule)[1]["href"]

        def fired() -> int:
            return int(made.ask(1, "GET", href)[1]["counts"]["fired"])

        until(lambda: fired() >= 2, what="firings")
        clock.step(seconds)
        stepped, begun = fired(), time.monotonic()
        until(lambda: fired() >= stepped + 4, what="more firings")
        assert fired() <= stepped + (time.monotonic() - begun) + 3
        shown = made.ask(1, "GET", href)[1]
        assert (shown["counts"]["missed"], shown["counts"]["refused"]) == (0, 0)
        assert abs(off_by(shown["next"])) < 60
