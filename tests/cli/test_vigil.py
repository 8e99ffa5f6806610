"""Waiting for a job: whom it waits for is said once, and `--timeout` ends the waiting, not the job."""

import json
import threading
from typing import Any

import pytest

from deployer.cli.vigil import Overdue, Vigil, waited_for
from deployer.client.client import Client
from deployer.client.records import Task
from support.cli import Cli
from support.scripted import ScriptedMaster, answer, end, message, refusal, stream

AWAY = "its agent is offline, last heard of at 2026-11-28T15:50:00.000Z"
JOB: dict[str, Any] = {"id": "j1", "state": "RUNNING", "cmd": "execute", "target": "*", "tasks": {"counts": {}}}


def task(nid: int, state: str = "QUEUED", reason: str | None = AWAY) -> dict[str, Any]:
    return {"id": "j1", "agent": {"gid": 1, "nid": nid}, "state": state, "reason": reason}


def tasks(*items: dict[str, Any]) -> Any:
    return answer({"items": list(items), "next": None})


def test_those_that_have_not_begun_are_said_by_why_that_is() -> None:
    found = [task(3), task(1), task(2, "RUNNING"), task(4, "SENT", None), task(5, "BLOCKED", "waits for job j0")]
    nowhere = {"id": "j1", "agent": None, "state": "BLOCKED", "reason": "the batch is not placed"}
    assert waited_for([Task.read(one) for one in (*found, nowhere)]) == [
        f"waits for 1:1,1:3: {AWAY}",
        "1:5: waits for job j0",
        "the batch is not placed",
    ]
    many = [Task.read(task(n, "QUEUED", f"its agent is away since {n}")) for n in range(1, 10)]
    assert len(waited_for(many)) == 6
    assert waited_for(many)[-1] == "waits for more, for 4 other reasons"


def test_it_is_said_once_when_it_takes_long_and_is_known(master: ScriptedMaster) -> None:
    path = "GET /api/v1/jobs/j1/tasks"
    master.on(path, refusal(500, "why", "Because."), tasks(task(1, "SENT", None)), tasks(task(1)))
    client = Client(master.url, "", patience_s=0.0)
    times = iter([0.0, 0.0, 1.0, 9.0, 10.0, 11.0, 20.0, 30.0, 50.0, 100.0])
    vigil = Vigil(client, "j1", 100.0, clock=lambda: next(times))
    said = [vigil.news() for _ in range(7)]
    client.close()
    assert said == [[], [], [], [], [], [f"waits for 1:1: {AWAY}"], []]
    with pytest.raises(Overdue):
        vigil.news()


def test_who_wants_no_remarks_is_told_nothing(master: ScriptedMaster) -> None:
    client = Client(master.url, "", patience_s=0.0)
    times = iter([0.0, 1e9])
    vigil = Vigil(client, "j1", silent=True, clock=lambda: next(times))
    assert vigil.news() == []
    client.close()
    assert master.asked == []


@pytest.mark.parametrize("how", [[], ["-b"], ["--no-follow"], ["--json"], ["--ndjson"]])
def test_a_timeout_ends_the_waiting_not_the_job(master: ScriptedMaster, cli: Cli, how: list[str]) -> None:
    over = threading.Event()
    master.on("POST /api/v1/jobs", answer(JOB, 202))
    master.on("GET /api/v1/jobs/j1", answer(JOB))
    master.on("GET /api/v1/jobs/j1/log", stream(message("1-0.0", 1, "begun"), hold=over))
    done = cli("run", "-t", "*", "--id", "j1", "--timeout", "1s", *how, "x")
    over.set()
    assert done.exit_code == 124, (done.output, master.methods())
    assert done.stderr == "deployer: job j1 goes on: `deployer log -f j1` shows it, `deployer cancel j1` ends it\n"
    assert "DELETE /api/v1/jobs/j1" not in master.methods()
    if how == ["--json"]:
        assert json.loads(done.stdout) == JOB
    elif how == []:
        assert done.stdout == "begun\n"


def test_a_timeout_that_is_not_reached_changes_nothing(master: ScriptedMaster, cli: Cli) -> None:
    master.on("POST /api/v1/jobs", answer(JOB, 202))
    master.on("GET /api/v1/jobs/j1/log", stream(message("1-0.0", 1, "x"), end({**JOB, "state": "OK"})))
    done = cli("run", "-t", "*", "--timeout", "1h", "x")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "x\n", "")
    assert cli("run", "-t", "*", "--timeout", "1h", "--no-wait", "x").exit_code == 2
