"""Several masters on one Redis: any of them answers, and one that is stopped leaves nothing undone."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.masters import Masters, balancer, masters
from support.wait import until


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Masters]:
    with masters(tmp_path) as made:
        made.start(1)
        made.start(2)
        made.start_agent(1, made.urls[2])
        yield made


class Tail(threading.Thread):
    """Follows a job's log from one master until the stream ends."""

    def __init__(self, made: Masters, number: int, job: str, last: str = "") -> None:
        super().__init__(daemon=True)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        self.answer = made.open(number, "GET", f"/api/v1/jobs/{job}/log", **headers)
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.over = False
        self.start()

    def run(self) -> None:
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            if line.startswith("id: "):
                self.ids.append(line[4:])
            elif line.startswith("data: ") and '"data":"' in line:
                self.texts.append(line.partition('"data":"')[2].partition('"')[0])
            elif line == "event: end":
                self.over = True


def test_any_master_answers_for_what_another_took(two: Masters) -> None:
    two.submit(1, "a", "sleep 0.5; echo said")
    assert two.ask(2, "GET", "/api/v1/jobs/a?wait=30")[1]["state"] == "OK"
    assert [item["data"] for item in two.ask(1, "GET", "/api/v1/jobs/a/log")[1]["items"]] == ["said"]
    two.submit(2, "b", "sleep 1000")
    assert two.ask(1, "DELETE", "/api/v1/jobs/b")[0] == 202
    assert two.ask(2, "GET", "/api/v1/jobs/b?wait=30")[1]["state"] == "KILLED"


def test_a_live_log_goes_on_at_another_master_without_gap_or_repeat(two: Masters) -> None:
    two.submit(1, "j", "for n in $(seq 400); do echo $n; [ $((n % 20)) = 0 ] && sleep 0.1; done")
    first = Tail(two, 1, "j")
    until(lambda: len(first.texts) >= 60, what="some lines")
    assert two.masters[1].stop() == 0
    first.join(30)
    assert not first.over
    second = Tail(two, 2, "j", first.ids[-1])
    second.join(60)
    assert second.over
    assert first.texts + second.texts == [str(number) for number in range(1, 401)]


def test_a_master_that_is_stopped_answers_all_that_was_asked_and_is_not_ready(two: Masters) -> None:
    two.submit(1, "long", "sleep 1000")
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(two.ask(1, "GET", "/api/v1/jobs/long?wait=60")))
    waiting.start()
    until(lambda: two.ask(2, "GET", "/api/v1/jobs/long")[1]["state"] == "RUNNING", what="the job to run")
    process = two.masters[1].process
    assert process is not None
    process.terminate()
    status, health = until(lambda: _unready(two), what="the master to be unready")
    assert (status, health["status"]) == (503, "stopping")
    waiting.join(30)
    assert [(status, job["state"]) for status, job in answers] == [(200, "RUNNING")]
    two.submit(1, "late", "true")  # it still takes jobs while a balancer has not turned away
    assert process.wait(60) == 0
    assert two.ask(2, "GET", "/api/v1/jobs/late?wait=30")[1]["state"] == "OK"


def _unready(two: Masters) -> tuple[int, Any] | None:
    status, health = two.ask(1, "GET", "/readyz")
    return (status, health) if status != 200 else None


def test_behind_a_balancer_masters_come_and_go_and_nobody_notices(tmp_path: Path) -> None:
    """Each master is stopped and started while jobs come in and run: no request fails, nothing runs twice."""
    marks = tmp_path / "marks"
    with masters(tmp_path) as made:
        made.start(1)
        made.start(2)
        with balancer(made) as url:
            made.start_agent(1, url)
            refused: list[Any] = []
            over = threading.Event()
            jobs: list[str] = []

            def submit() -> None:
                while not over.is_set():
                    jobs.append(f"j{len(jobs)}")
                    body = {"cmd": "/bin/sh", "args": ["-c", f"echo {jobs[-1]} >> {marks}"]}
                    job = {"cmd": "execute", "args": body, "target": "1:1", "id": jobs[-1]}
                    status, answer = made.ask(0, "POST", "/api/v1/jobs", job)
                    if status not in {200, 202}:
                        refused.append((status, answer))

            client = threading.Thread(target=submit)
            client.start()
            for number in (1, 2):
                enough = len(jobs) + 50
                until(lambda enough=enough: len(jobs) > enough, what="some jobs")  # type: ignore[misc]
                assert made.masters[number].stop() == 0
                made.start(number)
                until(lambda: made.is_ready(1) and made.is_ready(2), what="both masters")
                rounds = len(jobs) + 100
                until(lambda rounds=rounds: len(jobs) > rounds, what="more jobs")  # type: ignore[misc]
            over.set()
            client.join(30)
            assert refused == []
            assert {made.ask(0, "GET", f"/api/v1/jobs/{job}?wait=30")[1]["state"] for job in jobs} == {"OK"}
    assert sorted(marks.read_text().split()) == sorted(jobs)


def test_recurring_work_fires_once_however_many_masters_there_are(two: Masters, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    two.submit(1, "r", f'echo "$DEPLOYER_RUN" >> {marks}', recurring_period=1)
    until(lambda: marks.exists() and len(marks.read_text().split()) >= 4, what="four periods")
    found = marks.read_text().split()
    assert len(found) == len(set(found))


def test_a_master_with_another_key_does_not_start(tmp_path: Path) -> None:
    with masters(tmp_path) as made:
        made.start(1)
        other = tmp_path / "other"
        other.mkdir()
        stranger = Masters(other)
        stranger.socket = made.socket
        with pytest.raises(AssertionError, match="another masters' key"):
            stranger.start(2)


def test_a_lost_redis_is_503_and_comes_back_by_itself(two: Masters) -> None:
    two.submit(1, "before", "sleep 3; echo done")
    until(lambda: two.ask(1, "GET", "/api/v1/jobs/before")[1]["state"] == "RUNNING", what="the job to run")
    two.kill_redis()
    status, problem = until(lambda: _refused(two), what="a refusal")
    assert status == 503
    assert "try again" in problem["detail"]
    begun = time.monotonic()
    until(lambda: time.monotonic() > begun + 4, what="the job's end while Redis is away")
    two.start_redis()
    until(lambda: two.is_ready(1) and two.is_ready(2), what="both masters")
    assert two.ask(2, "GET", "/api/v1/jobs/before?wait=60")[1]["state"] == "OK"


def _refused(two: Masters) -> tuple[int, Any] | None:
    with contextlib.suppress(OSError):
        status, problem = two.ask(1, "POST", "/api/v1/jobs", {"cmd": "ping", "target": "1:1"})
        return (status, problem) if status >= 500 else None
    return None
