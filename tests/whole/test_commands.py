"""The real programs: what a user can ask for, and what goes wrong in it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.programs import Fleet, Program, fleet, lives
from support.wait import until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        made.start_master()
        made.start_agent()
        yield made


def _run(running: Fleet, job: str, *command: str, **args: Any) -> Any:
    running.submit(job, *command, wait_s=60, **args)
    return running.task(job)


def test_a_command_runs_from_one_call(running: Fleet) -> None:
    job = running.submit("one", "/bin/echo", "hi", wait_s=60, domain="demo", name="echo")
    assert job["state"] == "OK"
    assert running.lines("one") == ["hi"]


def test_ping_answers_pong(running: Fleet) -> None:
    status, job = running.ask("POST", "/api/v1/jobs?wait=60", {"cmd": "ping", "target": "1:1"})
    assert (status, job["state"]) == (202, "OK")
    task = running.task(job["id"])
    assert (task["data"], task["level"]) == ('"pong"', 20)


@pytest.mark.parametrize(
    ("job", "command", "args", "code"),
    [
        ("missing", ["/no/such/program"], {}, "NOT_FOUND"),
        ("denied", ["/etc/passwd"], {}, "NOT_EXECUTABLE"),
        ("folder", ["/bin/true"], {"workingdir": "/no/such/folder"}, "BAD_WORKDIR"),
        ("file", ["/bin/true"], {"workingdir": "/etc/passwd"}, "BAD_WORKDIR"),
        ("status", ["/bin/sh", "-c", "exit 7"], {}, "EXIT_STATUS"),
        ("signal", ["/bin/sh", "-c", "kill -9 $$"], {}, "SIGNAL"),
    ],
)
def test_what_cannot_run_or_fails_has_a_code_and_one_sentence(
    running: Fleet, job: str, command: list[str], args: dict[str, Any], code: str
) -> None:
    task = _run(running, job, *command, **args)
    assert (task["state"], task["code"]) == ("ERROR", code)
    assert task["reason"]
    assert "\n" not in task["reason"]


def test_a_process_that_takes_too_long_is_ended_with_all_it_started(running: Fleet, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 1000 & echo $! $$ > {pids}; wait; sleep 1000"
    task = _run(running, "slow", "/bin/sh", "-c", script, max_time=1, grace=0.3)
    assert (task["state"], task["code"]) == ("TIMEOUT", "MAX_TIME")
    assert not any(lives(int(pid)) for pid in pids.read_text().split())


def test_a_running_job_is_killed_by_deleting_it(running: Fleet) -> None:
    running.submit("endless", "/bin/sh", "-c", "echo on; exec sleep 1000")
    until(lambda: running.lines("endless") == ["on"], what="the job's first line")
    status, _ = running.ask("DELETE", "/api/v1/jobs/endless")
    assert status == 202
    assert running.job("endless", 60)["state"] == "KILLED"
    assert running.task("endless")["code"] == "KILLED"


def test_data_reach_the_process_and_then_end(running: Fleet) -> None:
    body = {"cmd": "execute", "args": {"cmd": "/bin/cat"}, "data": "zwölf\nBoxkämpfer\n", "target": "1:1", "id": "cat"}
    running.ask("POST", "/api/v1/jobs?wait=60", body)
    assert running.lines("cat") == ["zwölf", "Boxkämpfer"]


def test_arguments_are_literal(running: Fleet) -> None:
    wicked = ["; rm -rf /", "$(id)", "`id`", "a\nb", "|", "-n", "--", "$tmp", "${agentroot}", "{0.__class__}", "%s", ""]
    task = _run(running, "literal", "/usr/bin/printf", "%s|", *wicked)
    assert task["state"] == "OK"
    assert "\n".join(running.lines("literal")) == "".join(f"{text}|" for text in wicked)


def test_a_job_sees_its_own_environment_and_nothing_of_the_agents(running: Fleet) -> None:
    task = _run(running, "env", "/usr/bin/env", env={"GREETING": "hi"})
    assert task["state"] == "OK"
    seen = dict(line.partition("=")[::2] for line in running.lines("env"))
    assert (seen["GREETING"], seen["DEPLOYER_JOB"], seen["DEPLOYER_GID"], seen["DEPLOYER_NID"]) == (
        "hi",
        "env",
        "1",
        "1",
    )
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "GREETING"}
    assert {name for name in seen if not name.startswith(("DEPLOYER_", "LC_"))} <= allowed


def test_a_job_inherits_three_descriptors_and_a_session_of_its_own(running: Fleet) -> None:
    _run(running, "fds", "/bin/ls", "/proc/self/fd")
    assert sorted(running.lines("fds")) == ["0", "1", "2", "3"]  # 3 is ls looking
    _run(running, "sid", "/bin/sh", "-c", "ps -o pid=,sid=,pgid= -p $$")
    assert len(set(running.lines("sid")[0].split())) == 1


def test_a_grandchild_that_keeps_the_pipes_does_not_keep_the_job(running: Fleet, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    task = _run(running, "daemon", "/bin/sh", "-c", f"setsid sleep 1000 & echo $! > {pid}; echo started")
    assert task["state"] == "OK"
    assert running.lines("daemon") == ["started"]
    os.kill(int(pid.read_text()), 9)


def test_the_last_result_message_is_the_tasks_data(running: Fleet) -> None:
    task = _run(
        running, "result", "/bin/sh", "-c", 'echo "20::1"; echo "20:::"; echo "{"; echo "}"; echo ":::"; echo x'
    )
    assert (task["data"], task["level"]) == ("{\n}", 20)


def test_a_job_for_an_agent_that_is_away_waits_and_expires_at_its_not_after(running: Fleet) -> None:
    running.start_agent(2).stop()
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    for job, more in (("late", {"not_after": soon}), ("waits", {})):
        assert running.ask("POST", "/api/v1/jobs", {"cmd": "ping", "target": "1:2", "id": job, **more})[0] == 202
    assert running.job("late", 60)["state"] == "ERROR"
    assert running.task("late")["code"] == "EXPIRED"
    assert running.job("waits")["state"] == "QUEUED"
    running.start_agent(2)
    assert running.job("waits", 60)["state"] == "OK"


def test_a_second_master_on_the_same_data_is_refused_in_one_line(running: Fleet, tmp_path: Path) -> None:
    second = Program(
        "deployer-master", tmp_path / "log", f"--data-dir={running.data}", "--http=tcp:0:interface=127.0.0.1"
    )
    second.start()
    assert second.process is not None
    assert second.process.wait(60) == 1
    assert "another master runs in" in second.text()
    assert running.is_ready()


def test_secrets_are_in_no_log_and_on_no_command_line(running: Fleet) -> None:
    secrets = [(running.data / name).read_text().strip() for name in ("admin-token", "join-token")]
    logs = running.master.text() + running.agents[1].text()
    lines = " ".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    for secret in secrets:
        assert secret not in logs
        assert secret not in lines


def test_nothing_was_logged_as_a_failure(running: Fleet) -> None:
    for program in (running.master, running.agents[1]):
        assert "Traceback" not in program.text()
        assert "Unhandled" not in program.text()


def test_an_agent_ends_in_order_and_takes_its_processes_with_it(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.start_master()
        agent = made.start_agent()
        made.submit("long", "/bin/sh", "-c", "trap 'exit 0' TERM; echo on; sleep 1000 & wait")
        until(lambda: made.lines("long") == ["on"], what="the job's first line")
        children = psutil.Process(agent.pid).children(recursive=True)
        assert agent.stop() == 0
        assert not any(lives(process.pid) for process in children)
        assert made.job("long", 60)["state"] == "KILLED"
        assert made.task("long")["code"] == "AGENT_STOPPED"
        assert made.master.stop() == 0
        assert made.redis_servers() == []
        assert not (made.data / "redis" / "redis.sock").exists()
