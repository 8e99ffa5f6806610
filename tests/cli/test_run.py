"""`deployer run` against a scripted master."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from support.cli import Cli, program_environment
from support.scripted import ScriptedMaster, answer, end, message, refusal, stream
from support.wait import until

JOB: dict[str, Any] = {"id": "j1", "state": "QUEUED", "cmd": "execute", "target": "1:1", "tasks": {"href": "x"}}
PROGRAM = [sys.executable, "-c", "from deployer.cli.main import main; main(prog_name='deployer')"]


def script(master: ScriptedMaster, state: str, *messages: tuple[int, str], **task: Any) -> None:
    """A job that puts out these messages and ends in this state."""
    ended = {**JOB, "state": state}
    events = [message(f"1-0.{n}", level, data) for n, (level, data) in enumerate(messages)]
    master.on("POST /api/v1/jobs", answer(JOB, 202))
    master.on("GET /api/v1/jobs/j1", answer(ended))
    items = [{"agent": "1:1", "level": level, "data": data} for level, data in messages]
    log = {"items": items, "next": None}
    master.on(
        "GET /api/v1/jobs/j1/log",
        lambda asked: stream(*events, end(ended)) if "event" in asked.headers["Accept"] else answer(log),
    )
    one = {"id": "j1", "agent": {"gid": 1, "nid": 1}, "state": state, **task}
    master.on("GET /api/v1/jobs/j1/tasks", answer({"items": [one], "next": None}))


def test_output_goes_where_its_level_says(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "OK", (1, "out"), (2, "err"), (7, "two\nlines"), (20, '{"a": 1}'), (11, "d"), (3, "p"))
    result = cli("run", "-t", "1:1", "--", "/bin/echo", "-n", "hi")
    assert result.exit_code == 0
    assert result.stdout == 'out\n{"a": 1}\n'
    assert result.stderr == "err\nwarning: two\nwarning: lines\ndebug: d\npublic: p\n"


def test_only_what_was_given_is_asked_for(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "OK")
    cli("run", "-t", "1:1", "ls", "-l", "--json")
    sent = master.asked[0].body
    assert len(sent.pop("id")) == 32
    assert sent == {"cmd": "execute", "args": {"cmd": "ls", "args": ["-l", "--json"]}, "data": "", "target": "1:1"}


def test_all_options_arrive(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "OK")
    options = ["--domain", "d", "--name", "n", "--max-time", "9", "--workingdir", "/srv", "-e", "A=b=c", "-e", "B="]
    cli("run", "-t", "1:1", *options, "--id", "mine", "--data-file", "-", "--", "cat", input="Grüße")
    sent = master.asked[0].body
    assert (sent["id"], sent["data"]) == ("mine", "Grüße")
    assert sent["args"] == {
        "cmd": "cat",
        "args": [],
        "domain": "d",
        "name": "n",
        "max_time": 9,
        "workingdir": "/srv",
        "env": {"A": "b=c", "B": ""},
    }


def test_how_a_process_is_supervised_can_be_said(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "OK")
    options = ["--max-time", "-1", "--max-restart", "3", "--user", "web", "--group", "www", "--umask", "022"]
    options += ["--queue", "q", "--stop-signal", "INT", "--grace", "1.5", "--max-memory", "5", "--watchdog", "7"]
    options += ["--limit", "nofile=9", "--limit", "pids=8", "--shell", "--recurring-period", "60"]
    cli("run", "-t", "1:1", *options, "--", "date")
    assert master.asked[0].body["args"] == {
        "cmd": "date",
        "args": [],
        "max_time": -1,
        "max_restart": 3,
        "recurring_period": 60,
        "user": "web",
        "group": "www",
        "umask": "022",
        "queue": "q",
        "stop_signal": "INT",
        "grace": 1.5,
        "max_memory": 5,
        "watchdog": 7,
        "limits": {"nofile": 9, "pids": 8},
        "shell": True,
    }


@pytest.mark.parametrize(("state", "code"), [("OK", 0), ("ERROR", 1), ("KILLED", 1), ("TIMEOUT", 124)])
def test_the_exit_code_tells_the_state(master: ScriptedMaster, cli: Cli, state: str, code: int) -> None:
    script(master, state, code="MAX_TIME", reason="ran longer")
    result = cli("run", "-t", "1:1", "x")
    assert result.exit_code == code
    assert ("1:1" in result.stderr) is (state != "OK")


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ({"exit_status": 7}, 7),
        ({"exit_status": None, "signal": "SIGSEGV"}, 139),
        ({"exit_status": None, "code": "NOT_FOUND"}, 1),
    ],
)
def test_pass_exit_gives_the_status_of_the_command(
    master: ScriptedMaster, cli: Cli, task: dict[str, Any], code: int
) -> None:
    script(master, "ERROR", **task)
    assert cli("run", "-t", "1:1", "--pass-exit", "x").exit_code == code


def test_why_it_failed_is_said_unless_quiet(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "ERROR", code="NOT_FOUND", reason="no \x1b[2J/bin/x")
    assert (
        cli("run", "-t", "1:1", "x").stderr
        == "deployer: 1:1: ERROR NOT_FOUND (no \\x1b[2J/bin/x)\ndeployer: job j1 is ERROR\n"
    )
    assert cli("run", "-q", "-t", "1:1", "x").stderr == ""


def test_no_wait_prints_the_id(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "OK")
    result = cli("run", "-t", "1:1", "--no-wait", "x")
    assert (result.exit_code, result.stdout) == (0, "j1\n")
    assert json.loads(cli("run", "-t", "1:1", "--no-wait", "--json", "x").stdout) == JOB


def test_no_follow_shows_the_output_at_the_end(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "OK", (1, "out"))
    assert cli("run", "-t", "1:1", "--no-follow", "x").stdout == "out\n"
    assert not any("event-stream" in asked.headers["Accept"] for asked in master.asked)


def test_json_is_one_document_with_job_tasks_and_log(master: ScriptedMaster, cli: Cli) -> None:
    script(master, "OK", (1, "out"))
    document = json.loads(cli("run", "-t", "1:1", "--json", "x").stdout)
    assert (document["state"], document["tasks"]["items"][0]["state"], document["log"][0]["data"]) == (
        "OK",
        "OK",
        "out",
    )


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("-t", "1:1"),
        ("x",),
        ("-t", "1:1", "-e", "A", "x"),
        ("-t", "1:1", "--max-time", "-2", "x"),
        ("-t", "1:1", "--limit", "nofile=many", "x"),
        ("-t", "1:1", "--limit", "nofile", "x"),
    ],
)
def test_wrong_usage_is_2(cli: Cli, args: tuple[str, ...]) -> None:
    assert cli("run", *args).exit_code == 2


def test_data_that_is_no_text_or_no_file_is_2(master: ScriptedMaster, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xe4")
    for name, why in (("latin", "not UTF-8 at byte 0"), ("missing", "No such file")):
        result = cli("run", "-t", "1:1", "--data-file", str(tmp_path / name), "x")
        assert result.exit_code == 2
        assert why in result.stderr
    assert master.asked == []


@pytest.mark.parametrize(
    ("status", "code"), [(401, 3), (403, 3), (404, 4), (409, 1), (413, 2), (500, 1), (502, 5), (507, 1)]
)
def test_refusals_have_their_exit_codes(master: ScriptedMaster, cli: Cli, status: int, code: int) -> None:
    master.on("POST /api/v1/jobs", refusal(status, "why", "Because."))
    result = cli("run", "-t", "1:1", "x")
    assert result.exit_code == code
    assert result.stderr.startswith("deployer: Because.")


def test_a_job_that_does_not_fit_is_2_and_says_where(master: ScriptedMaster, cli: Cli) -> None:
    errors = [{"pointer": "/args/workingdir", "message": "is too long"}]
    master.on("POST /api/v1/jobs", refusal(422, "invalid", "No.", errors))
    result = cli("run", "-t", "1:1", "x")
    assert (result.exit_code, result.stderr) == (2, "deployer: --workingdir: is too long\n")


def start(environment: dict[str, str | None], *args: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PROGRAM, *args], env=program_environment(environment), **more)


def test_interrupting_ends_the_job_and_exits_130(master: ScriptedMaster, environment: dict[str, str | None]) -> None:
    over = threading.Event()
    script(master, "OK")
    master.on("GET /api/v1/jobs/mine/log", stream(message("1-0.0", 1, "begun"), hold=over))
    master.on("POST /api/v1/jobs", answer({**JOB, "id": "mine"}, 202))
    master.on("DELETE /api/v1/jobs/mine", answer({**JOB, "id": "mine"}, 202))
    program = start(
        environment, "run", "-t", "1:1", "--id", "mine", "x", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"begun\n"
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=20)
    over.set()
    assert program.returncode == 130
    assert b"mine is asked to end" in err
    assert "DELETE /api/v1/jobs/mine" in master.methods()


def test_on_a_terminal_control_characters_are_shown_not_obeyed(
    master: ScriptedMaster, environment: dict[str, str | None]
) -> None:
    script(master, "OK", (1, "a\x1b[2J\rb\x9bc\ttab\n<img>"))
    ours, theirs = os.openpty()
    program = start(environment, "run", "-t", "1:1", "x", stdout=theirs)
    program.wait(20)
    os.close(theirs)
    seen = os.read(ours, 1000)
    os.close(ours)
    assert seen.replace(b"\r\n", b"\n") == b"a\\x1b[2J\\x0db\\x9bc\ttab\n<img>\n"


def test_elsewhere_output_is_as_it_was(master: ScriptedMaster, environment: dict[str, str | None]) -> None:
    script(master, "OK", (1, "a\x1b[2J\rb"))
    with start(environment, "run", "-t", "1:1", "x", stdout=subprocess.PIPE) as program:
        assert program.communicate(timeout=20)[0] == b"a\x1b[2J\rb\n"


def test_output_is_written_as_it_comes(master: ScriptedMaster, environment: dict[str, str | None]) -> None:
    over = threading.Event()
    script(master, "OK")
    last = stream(message("2-0.0", 1, "second"), end({**JOB, "state": "OK"}))
    master.on("GET /api/v1/jobs/j1/log", stream(message("1-0.0", 1, "first"), hold=over), last)
    with start(environment, "run", "-t", "1:1", "x", stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"first\n"
        until(lambda: len(master.asked) == 2, what="the stream")
        over.set()
        assert program.communicate(timeout=20)[0] == b"second\n"
    assert program.returncode == 0


def test_a_job_for_many_names_each_and_asks_for_as_many_as_are_wanted(master: ScriptedMaster, cli: Cli) -> None:
    counts = {"QUEUED": 2}
    job = {"id": "j1", "state": "QUEUED", "cmd": "execute", "target": "role=web", "created": "x"}
    master.on("POST /api/v1/jobs", answer({**job, "tasks": {"href": "x", "counts": counts}}, 202))
    for given, sent in (("all", "all"), ("one", "one"), ("3", 3)):
        assert cli("run", "-t", "role=web", "--fanout", given, "--no-wait", "--", "x").exit_code == 0
        assert master.asked[-1].body["fanout"] == sent
    for wrong in ("0", "some", "-1", "²"):
        assert cli("run", "-t", "role=web", f"--fanout={wrong}", "--no-wait", "--", "x").exit_code == 2


@pytest.mark.parametrize("words", [["--wait", "5", "--", "true"], ["x", "y", "--", "true"]])
def test_a_word_before_the_dashes_is_no_command(master: ScriptedMaster, cli: Cli, words: list[str]) -> None:
    done = cli("run", "-t", "1:1", *words)
    assert done.exit_code == 2
    assert "before the --" in done.stderr
    assert master.asked == []


@pytest.mark.parametrize("words", [["--", "git", "checkout", "--", "f"], ["--", "--", "f"], ["git", "f"]])
def test_a_command_may_have_dashes_of_its_own(master: ScriptedMaster, cli: Cli, words: list[str]) -> None:
    script(master, "OK")
    assert cli("run", "-t", "1:1", "--no-wait", *words).exit_code == 0
    sent = master.asked[0].body["args"]
    assert [sent["cmd"], *sent["args"]] == words[1:] if words[0] == "--" else words
