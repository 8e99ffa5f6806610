"""`deployer run` on many hosts, its options for jobs, `rerun` and `logs`, against a scripted master."""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from support.cli import Cli, program_environment
from support.scripted import ScriptedMaster, answer, end, message, refusal, stream

PROGRAM = [sys.executable, "-c", "from deployer.cli.main import main; main(prog_name='deployer')"]
JOB: dict[str, Any] = {"id": "j1", "state": "RUNNING", "cmd": "execute", "target": "*", "created": "x"}


def counted(**counts: int) -> dict[str, Any]:
    return {"tasks": {"href": "x", "counts": counts}}


def script(master: ScriptedMaster) -> None:
    """Three hosts: two say the same, one fails."""
    ended = {**JOB, "state": "ERROR", **counted(OK=2, ERROR=1)}
    for path in ("jobs", "jobs/j0/rerun"):
        master.on(f"POST /api/v1/{path}", answer({**JOB, **counted(RUNNING=3)}, 202))
    master.on("GET /api/v1/jobs/j1", answer({**JOB, **counted(OK=1, RUNNING=2)}), answer(ended))
    items = [{"agent": f"1:{n}", "level": 1, "data": data, "epoch": n} for n, data in ((1, "a"), (2, "a"), (3, "b"))]
    events = [f"id: 1-0.{n}\ndata: {json.dumps(item)}\n\n" for n, item in enumerate(items)]
    log = {"items": items, "next": None}
    master.on(
        "GET /api/v1/jobs/j1/log",
        lambda asked: stream(*events, end(ended)) if "event" in asked.headers["Accept"] else answer(log),
    )
    tasks = [{"id": "j1", "agent": {"gid": 1, "nid": n}, "state": "OK"} for n in (1, 2)]
    failed = {"id": "j1", "agent": {"gid": 1, "nid": 3}, "state": "ERROR", "code": "EXIT_STATUS", "reason": "status 3"}
    master.on("GET /api/v1/jobs/j1/tasks", answer({"items": [*tasks, failed], "next": None}))


GROUPS = """---------------
1:[1-2] (2)
---------------
a
---------------
1:3 (1): ERROR EXIT_STATUS (status 3)
---------------
b
"""


def test_output_that_is_the_same_is_shown_once(master: ScriptedMaster, cli: Cli) -> None:
    script(master)
    done = cli("run", "-t", "*", "-b", "x")
    assert (done.exit_code, done.stdout) == (1, GROUPS)
    assert done.stderr == "deployer: job j1: 2 OK, 1 failed\n"


def test_not_on_a_terminal_each_line_says_who(master: ScriptedMaster, cli: Cli) -> None:
    script(master)
    done = cli("run", "-t", "*", "x")
    assert done.stdout == "1:1  a\n1:2  a\n1:3  b\n"
    assert done.stderr == "deployer: 1:3: ERROR EXIT_STATUS (status 3)\ndeployer: job j1: 2 OK, 1 failed\n"


def test_on_a_terminal_many_hosts_are_grouped_after_a_line_of_progress(
    master: ScriptedMaster, environment: dict[str, str | None]
) -> None:
    script(master)
    ours, theirs = os.openpty()
    env = program_environment({**environment, "COLUMNS": "30"})
    subprocess.run([*PROGRAM, "run", "-t", "*", "x"], env=env, stdout=theirs, stderr=theirs, timeout=60, check=False)
    os.close(theirs)
    shown = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    progress, _, rest = shown.rpartition("\r\x1b[K")
    assert progress == "\r\x1b[K0 OK, 3 running"
    assert rest == GROUPS + "deployer: job j1: 2 OK, 1 failed\n"


def test_lines_of_json_come_as_the_output_comes(master: ScriptedMaster, cli: Cli) -> None:
    script(master)
    lines = [json.loads(line) for line in cli("run", "-t", "*", "--ndjson", "x").stdout.splitlines()]
    assert [next(iter(line)) for line in lines] == ["job", *["message"] * 3, *["task"] * 3, "job"]
    assert (lines[1]["message"]["data"], lines[-1]["job"]["state"]) == ("a", "ERROR")


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--batch", "1-99/2"], {"batch": {"from": 1, "to": 99, "by": 2}}),
        (["--batch", "0-3"], {"batch": {"from": 0, "to": 3}}),
        (["--items", "-"], {"batch": ["a", "b c"]}),
        (["--depends-on", "j0", "--depends-on", "k:always"], {"depends_on": ["j0", {"id": "k", "on": "always"}]}),
        (["--requires", "ram=4G,load=1.5"], {"requires": {"ram": 4 * 1024**3, "load": 1.5}}),
        (["--requires", "ram=1000"], {"requires": {"ram": 1000}}),
        (["--priority", "-3"], {"priority": -3}),
        (["--rolling", "10%", "--max-failures", "2"], {"rolling": {"size": "10%", "max_failures": 2}}),
        (["--rolling", "5"], {"rolling": {"size": 5}}),
        (["--away", "skip"], {"away": "skip"}),
        (["--not-after", "2027-01-01T00:00:00Z"], {"not_after": "2027-01-01T00:00:00Z"}),
    ],
)
def test_options_are_fields_of_the_job(
    master: ScriptedMaster, cli: Cli, options: list[str], fields: dict[str, Any]
) -> None:
    script(master)
    assert cli("run", "-t", "*", *options, "--no-wait", "x", input="a\n\nb c\n").exit_code == 0
    sent = master.asked[0].body
    assert {
        name: value for name, value in sent.items() if name not in {"id", "cmd", "args", "data", "target"}
    } == fields


@pytest.mark.parametrize(
    "options",
    [
        ["--batch", "1"],
        ["--batch", "1-2", "--items", "-"],
        ["--items", "/nonexistent"],
        ["--items", "-"],
        ["--depends-on", "a:never"],
        ["--depends-on", "a b"],
        ["--requires", "cpu=1"],
        ["--requires", "ram=much"],
        ["--rolling", "some"],
        ["--max-failures", "1"],
        ["--away", "wait"],
    ],
)
def test_options_that_are_none_are_2(master: ScriptedMaster, cli: Cli, options: list[str]) -> None:
    assert cli("run", "-t", "*", *options, "x").exit_code == 2
    assert master.asked == []


def test_what_failed_is_run_again_as_a_new_job(master: ScriptedMaster, cli: Cli) -> None:
    script(master)
    assert cli("rerun", "j0", "--id", "j1").stdout == "1:1  a\n1:2  a\n1:3  b\n"
    assert master.asked[0].body == {"id": "j1"}
    master.on("POST /api/v1/jobs/j9/rerun", refusal(404, "not_found", "There is no such job."))
    assert cli("rerun", "j9").exit_code == 4


def test_logs_of_several_jobs_are_one_by_time(master: ScriptedMaster, cli: Cli) -> None:
    for job, times in (("job-one", (1, 4)), ("job-two", (2, 3))):
        items = [{"agent": "1:1", "level": 1, "data": f"{job} {t}", "epoch": t, "at": f"T{t}"} for t in times]
        master.on(f"GET /api/v1/jobs/{job}/log", answer({"items": items, "next": None}))
    assert cli("logs", "job-one", "job-two").stdout.splitlines() == [
        "-one  1:1  job-one 1",
        "-two  1:1  job-two 2",
        "-two  1:1  job-two 3",
        "-one  1:1  job-one 4",
    ]
    assert cli("logs", "-T", "job-two").stdout.splitlines()[0] == "T2  1:1  job-two 2"
    lines = [json.loads(line) for line in cli("logs", "--ndjson", "job-one", "job-two").stdout.splitlines()]
    assert [line["job"] for line in lines] == ["job-one", "job-two", "job-two", "job-one"]
    items = json.loads(cli("logs", "--json", "job-two").stdout)["items"]
    assert [item["data"] for item in items] == ["job-two 2", "job-two 3"]


def test_logs_are_followed_until_all_have_ended(master: ScriptedMaster, cli: Cli) -> None:
    for job in ("a", "b"):
        events = stream(message("1-0.0", 1, f"said by {job}"), end({**JOB, "id": job, "state": "OK"}))
        master.on(f"GET /api/v1/jobs/{job}/log", events)
    assert sorted(cli("logs", "-f", "a", "b").stdout.splitlines()) == ["a  1:1  said by a", "b  1:1  said by b"]


def test_logs_of_an_unknown_job_are_4(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/jobs/a/log", stream(end({**JOB, "state": "OK"})))
    for options in ((), ("-f",)):
        assert cli("logs", *options, "nope").exit_code == 4


def test_a_job_that_never_falls_silent_is_shown_all_the_same(
    master: ScriptedMaster, environment: dict[str, str | None]
) -> None:
    over = threading.Event()

    def chatter(_: object) -> Any:
        events = [message(f"{len(master.asked)}-0.{n}", 1, "on and on") for n in range(3)]
        return stream(*events, lost=True) if not over.is_set() else stream(end({**JOB, "state": "OK"}))

    master.on("GET /api/v1/jobs/a/log", chatter)
    env = program_environment(environment)
    with subprocess.Popen([*PROGRAM, "logs", "-f", "a"], env=env, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "1:1  on and on\n"
        over.set()
        program.communicate(timeout=60)
    assert program.returncode == 0


def test_no_more_jobs_are_followed_than_there_may_be_threads(master: ScriptedMaster, cli: Cli) -> None:
    assert cli("logs", "-f", *(f"j{n}" for n in range(51))).exit_code == 2
    assert master.asked == []


def test_following_several_jobs_can_be_interrupted(master: ScriptedMaster, environment: dict[str, str | None]) -> None:
    over = threading.Event()
    for job in ("a", "b"):
        master.on(f"GET /api/v1/jobs/{job}/log", stream(message("1-0.0", 1, "begun"), hold=over))
    command = [*PROGRAM, "logs", "-f", "a", "b"]
    env = program_environment(environment)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert "begun" in program.stdout.readline()
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=20)
    over.set()
    assert (program.returncode, err) == (130, "")
