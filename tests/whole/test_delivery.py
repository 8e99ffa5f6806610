"""The real programs, killed. What was accepted reaches its end, and nothing runs twice (RELIABILITY 2)."""

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from support.programs import Fleet
from support.wait import until

_FLOOD = """
import hashlib, random, sys
numbers, digest = random.Random(5), hashlib.sha256()
for _ in range(500):
    block = b"".join(b"%099x\\n" % numbers.getrandbits(396) for _ in range(1050))
    digest.update(block)
    sys.stdout.buffer.write(block)
sys.stdout.flush()
print(digest.hexdigest(), file=sys.stderr)
"""


def _submit_many(running: Fleet, names: list[str], *command: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: running.submit(name, *(part.replace("@", name) for part in command)), names))


def _states(running: Fleet, names: list[str]) -> dict[str, str]:
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(lambda name: running.job(name, 60)["state"], names), strict=True))


def test_a_thousand_jobs_each_have_their_own_output(running: Fleet) -> None:
    names = [f"n{n}" for n in range(1000)]
    _submit_many(running, names, "/bin/echo", "@")
    assert set(_states(running, names).values()) == {"OK"}
    with ThreadPoolExecutor(16) as pool:
        logs = list(pool.map(running.lines, names))
    assert logs == [[name] for name in names]


def test_fifty_megabytes_are_followed_without_a_byte_lost(running: Fleet) -> None:
    running.submit("big", sys.executable, "-c", _FLOOD)
    agent = psutil.Process(running.agents[1].pid)
    found = _Followed(running, "big")
    peak = 0
    while found.is_alive():
        peak = max(peak, agent.memory_info().rss)
        found.join(0.05)
    assert found.error is None
    assert found.stderr == [found.sha]
    assert found.bytes > 50_000_000
    assert peak < 150 * 1024 * 1024


class _Followed(threading.Thread):
    """A reader of a job's event stream, from its beginning to its end."""

    def __init__(self, running: Fleet, job: str) -> None:
        super().__init__()
        self._running = running
        self._job = job
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.stderr: list[str] = []
        self.error: BaseException | None = None
        self.start()

    @property
    def sha(self) -> str:
        """What was read of stdout."""
        return self._digest.hexdigest()

    def run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            self.error = error

    def _read(self) -> None:
        where = urlsplit(self._running.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)
        token = (self._running.data / "admin-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        connection.request("GET", f"/api/v1/jobs/{self._job}/log", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        for line in answer:
            if line.startswith(b'data: {"agent"'):
                self._take(json.loads(line[6:]))
            if line.startswith(b"event: end"):
                connection.close()
                return
        raise AssertionError("the stream ended before the job")

    def _take(self, message: dict[str, str]) -> None:
        if int(message["level"]) == 1:
            text = message["data"].encode() + b"\n"
            self._digest.update(text)
            self.bytes += len(text)
        else:
            self.stderr.append(message["data"])


def test_accepted_jobs_survive_the_masters_death_and_none_runs_twice(running: Fleet, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    names = [f"k{n}" for n in range(200)]
    _submit_many(running, names, "/bin/sh", "-c", f"echo x >> {marks}/@; sleep 2; echo done")
    until(lambda: _count(running, "RUNNING") >= 20, what="20 jobs to run")
    running.master.kill()
    running.start_master()
    assert set(_states(running, names).values()) == {"OK"}
    assert all((marks / name).read_text() == "x\n" for name in names)
    assert len(running.redis_servers()) == 1


def _count(running: Fleet, state: str) -> int:
    return len(running.ask("GET", f"/api/v1/jobs?limit=1000&state={state}")[1]["items"])


def test_a_job_whose_agent_died_is_reported_as_unknown_and_not_run_again(running: Fleet, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    running.submit("mid", "/bin/sh", "-c", f"echo x >> {mark}; exec sleep 60")
    until(lambda: mark.exists() and running.job("mid")["state"] == "RUNNING", what="the job to run")
    left = _children(running.agents[1].pid)
    running.agents[1].kill()
    try:
        running.start_agent()
        assert running.job("mid", 60)["state"] == "ERROR"
        task = running.task("mid")
        assert (task["code"], task["outcome"]) == ("AGENT_RESTARTED", "unknown")
        assert mark.read_text() == "x\n"
    finally:
        for process in left:
            process.kill()


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize("victim", ["redis", "master", "group"])
def test_nothing_accepted_is_lost_whatever_of_the_master_is_killed(running: Fleet, victim: str) -> None:
    names = [f"{victim}{n}" for n in range(100)]
    _submit_many(running, names, "/bin/echo", "@")
    if victim == "redis":
        os.kill(running.redis_servers()[0].pid, signal.SIGKILL)
        until(running.is_ready, what="the master to have Redis again")
    else:
        (running.master.kill if victim == "master" else running.master.kill_group)()
        running.start_master()
    assert set(_states(running, names).values()) == {"OK"}
    assert [running.lines(name) for name in names] == [[name] for name in names]
    assert len(running.redis_servers()) == 1


def test_output_of_a_running_process_survives_a_master_that_is_away(running: Fleet) -> None:
    script = "for i in $(seq 200); do echo $i; sleep 0.05; done"
    running.submit("away", "/bin/bash", "-c", script)
    until(lambda: len(running.lines("away")) > 5, what="the first lines")
    running.master.kill_group()
    until(lambda: "more since the last line" in running.agents[1].text(), what="the agent to notice")
    running.start_master()
    assert running.job("away", 60)["state"] == "OK"
    assert running.lines("away") == [str(n) for n in range(1, 201)]
    ids = [item["id"] for item in running.ask("GET", "/api/v1/jobs/away/log?limit=1000")[1]["items"]]
    assert ids == list(range(ids[0], ids[0] + 200))


def test_what_was_said_while_the_master_was_away_survives_the_agents_death_too(running: Fleet, tmp_path: Path) -> None:
    go = tmp_path / "go"
    line = f"while [ ! -e {go} ]; do sleep 0.05; done; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    running.submit("talk", "/bin/sh", "-c", line)
    until(lambda: running.job("talk")["state"] == "RUNNING", what="the job")
    running.master.kill_group()
    go.touch()
    database = running.agent_data(1) / "journal.db"
    until(lambda: _is_finished(database, "talk"), what="the job's end in the journal")
    until(lambda: _spooled(running.agent_data(1)), what="its messages on the disk")
    running.agents[1].kill()
    running.agents[1].start()
    running.start_master()
    assert running.job("talk", 60)["state"] == "OK"
    lines = running.lines("talk")
    assert lines[:3000] == [f"line {number}" for number in range(3000)]
    assert [line for line in lines[3000:] if not line.startswith("messages may be missing here")] == []


def _is_finished(journal: Path, task: str) -> bool:
    """Whether a copy of the journal, which its agent holds alone, has the task's result."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (journal.name, f"{journal.name}-wal"):
            shutil.copy(journal.with_name(name), folder)
        with contextlib.closing(sqlite3.connect(Path(folder, journal.name))) as copy:
            return copy.execute("SELECT 1 FROM job WHERE id = ? AND stage = 'FINISHED'", (task,)).fetchone() is not None


def _spooled(data: Path) -> bool:
    """Whether all of the 3,000 lines are in the outbox's file."""
    with contextlib.closing(sqlite3.connect(f"file:{data / 'outbox.db'}?mode=ro", uri=True)) as outbox:
        shares = [json.loads(row[0]) for row in outbox.execute("SELECT shares FROM batch")]
    return sum(share[2] for batch in shares for share in batch) >= 3000
