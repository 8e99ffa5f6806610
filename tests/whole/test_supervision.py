"""The real programs: daemons are kept running, remembered, ended whole, and never run twice (seed 001)."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import psutil

from support.programs import Fleet, lives
from support.wait import until


def runs(running: Fleet, job: str) -> list[dict[str, Any]]:
    """The finished runs of a job's task on agent 1:1."""
    status, page = running.ask("GET", f"/api/v1/jobs/{job}/tasks/1:1/runs")
    assert status == 200, page
    return page["items"]


def starts(file: Path) -> list[int]:
    """The pids that a script has written down, one line each, complete ones only."""
    text = file.read_text() if file.exists() else ""
    return [int(line) for line in text.split("\n")[:-1]]


def daemon(file: Path, then: str = "exec sleep 1000") -> list[str]:
    """A shell line that notes its pid and goes on."""
    return ["/bin/sh", "-c", f"echo $$ >> {file}; {then}"]


def test_a_long_running_process_that_ends_is_started_again(running: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "starts"
    running.submit("d", *daemon(file), max_time=-1)
    first = until(lambda: starts(file), what="the first start")[0]
    os.kill(first, signal.SIGKILL)
    until(lambda: len(starts(file)) == 2, what="the second start")
    assert running.job("d")["state"] == "RUNNING"
    record = until(lambda: runs(running, "d"), what="the first run's record")[0]
    assert (record["run"], record["state"], record["code"], record["signal"]) == (1, "ERROR", "SIGNAL", "SIGKILL")
    assert running.task("d")["runs"]["count"] == 1


def test_what_ends_early_too_often_is_given_up_with_a_critical_message(running: Fleet, tmp_path: Path) -> None:
    running.submit("d", "/bin/false", max_time=-1, max_restart=1)
    assert running.job("d", 60)["state"] == "ERROR"
    task = running.task("d")
    assert (task["code"], task["exit_status"]) == ("RESTART_LIMIT", 1)
    assert [run["run"] for run in runs(running, "d")] == [1, 2]
    items = running.ask("GET", "/api/v1/jobs/d/log")[1]["items"]
    assert [item["level"] for item in items] == [9]
    assert "ended 2 times in a row within 5 minutes" in items[0]["data"]


def test_a_failing_job_is_repeated_as_often_as_max_restart_says(running: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "starts"
    running.submit("r", *daemon(file, f"test $(wc -l < {file}) -ge 3"), max_restart=5)
    assert running.job("r", 60)["state"] == "OK"
    assert len(starts(file)) == 3
    assert [(run["run"], run["state"]) for run in runs(running, "r")] == [(1, "ERROR"), (2, "ERROR"), (3, "OK")]


def test_killall_ends_the_run_and_not_the_long_running_task(running: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "starts"
    running.submit("d", *daemon(file), max_time=-1)
    running.submit("once", "/bin/sleep", "1000")
    until(lambda: starts(file), what="the first start")
    until(lambda: running.job("once")["state"] == "RUNNING", what="the other job")
    assert running.ask("POST", "/api/v1/jobs?wait=30", {"cmd": "killall", "target": "1:1"})[1]["state"] == "OK"
    assert running.job("once", 30)["state"] == "KILLED"
    until(lambda: len(starts(file)) == 2, what="the second start")
    assert running.job("d")["state"] == "RUNNING"
    assert runs(running, "d")[0]["code"] == "KILLED"


def test_a_deleted_long_running_job_ends_for_good(running: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "starts"
    running.submit("d", *daemon(file), max_time=-1)
    pid = until(lambda: starts(file), what="the first start")[0]
    assert running.ask("DELETE", "/api/v1/jobs/d")[0] == 202
    assert running.job("d", 30)["state"] == "KILLED"
    assert running.task("d")["code"] == "KILLED"
    assert not lives(pid)
    assert len(starts(file)) == 1


def test_a_signal_is_delivered_and_an_ending_one_ends_the_task(running: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "starts"
    running.submit("s", *daemon(file, "trap 'echo reloaded' HUP; while :; do sleep 0.1; done"))
    until(lambda: starts(file), what="the start")
    kill = {"cmd": "kill", "args": {"id": "s", "signal": "HUP"}, "target": "1:1"}
    assert running.ask("POST", "/api/v1/jobs?wait=30", kill)[1]["state"] == "OK"
    until(lambda: running.lines("s") == ["reloaded"], what="the reload")
    seed = {"cmd": "kill", "data": json.dumps({"id": "s"}), "target": "1:1"}
    assert running.ask("POST", "/api/v1/jobs?wait=30", seed)[1]["state"] == "OK"
    assert running.job("s", 30)["state"] == "KILLED"
    assert running.ask("POST", "/api/v1/jobs?wait=30", seed)[1]["state"] == "OK"  # it has ended: nothing is left to do
    assert running.ask("POST", "/api/v1/jobs", {**seed, "data": '{"id": "unknown"}'})[0] == 404


def test_a_recurring_job_runs_at_its_period_until_it_is_killed(running: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "starts"
    running.submit("r", *daemon(file, "true"), recurring_period=1)
    until(lambda: len(starts(file)) >= 3, what="three runs")
    until(lambda: len(runs(running, "r")) >= 2, what="records of runs")
    assert running.job("r")["state"] == "RUNNING"
    running.ask("DELETE", "/api/v1/jobs/r")
    assert running.job("r", 30)["state"] == "KILLED"
    assert [run["run"] for run in runs(running, "r")][:2] == [1, 2]


def test_jobs_of_one_queue_run_one_after_another(running: Fleet, tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = f"echo b >> {log}; sleep 0.2; echo e >> {log}"
    for n in range(4):
        running.submit(f"q{n}", "/bin/sh", "-c", line, queue="one")
    assert {running.job(f"q{n}", 60)["state"] for n in range(4)} == {"OK"}
    assert log.read_text().split() == ["b", "e"] * 4


def test_a_queue_is_kept_over_the_death_of_the_agent(running: Fleet, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    running.submit("d", *daemon(first), max_time=-1, queue="one")
    until(lambda: starts(first), what="the first start")
    running.submit("w", *daemon(second, "true"), queue="one")
    until(lambda: running.job("w")["state"] == "RUNNING", what="the acceptance of the other")
    running.agents[1].kill()
    running.start_agent()
    until(lambda: len(starts(first)) == 2, what="the second start")
    assert not second.exists()
    running.ask("DELETE", "/api/v1/jobs/d")
    assert running.job("w", 30)["state"] == "OK"
    assert len(starts(second)) == 1


def test_silence_and_memory_over_the_limit_are_failures(running: Fleet) -> None:
    running.submit("silent", "/bin/sleep", "1000", watchdog=1)
    hungry = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); sleep 1000"
    running.submit("hungry", "/bin/sh", "-c", hungry, max_memory=20_000_000)
    assert running.job("silent", 60)["state"] == "ERROR"
    assert running.task("silent")["code"] == "LIMIT"
    assert "silent for 1 s" in running.task("silent")["reason"]
    assert running.job("hungry", 60)["state"] == "ERROR"
    assert running.task("hungry")["code"] == "LIMIT"


def test_long_running_and_recurring_jobs_come_back_after_an_orderly_restart(running: Fleet, tmp_path: Path) -> None:
    long, often, once = tmp_path / "long", tmp_path / "often", tmp_path / "once"
    running.submit("d", *daemon(long), max_time=-1)
    running.submit("r", *daemon(often, "true"), recurring_period=1)
    running.submit("once", *daemon(once))
    until(lambda: starts(long) and starts(often) and starts(once), what="the first starts")
    assert running.agents[1].stop() == 0
    assert not lives(starts(long)[0])
    before = len(starts(often))
    assert running.job("once", 30)["state"] == "KILLED"
    assert running.task("once")["code"] == "AGENT_STOPPED"
    running.start_agent()
    until(lambda: len(starts(long)) == 2, what="the long-running one")
    until(lambda: len(starts(often)) > before, what="the recurring one")
    assert runs(running, "d")[0]["code"] == "AGENT_STOPPED"
    assert running.job("d")["state"] == running.job("r")["state"] == "RUNNING"


def test_nothing_runs_twice_after_a_kill_of_the_agent(running: Fleet, tmp_path: Path) -> None:
    """Its children live on; the next start ends them before it starts what is remembered (RELIABILITY 2.4 a)."""
    long, once = tmp_path / "long", tmp_path / "once"
    running.submit("d", *daemon(long, "(setsid sleep 1000 &) ; exec sleep 1000"), max_time=-1)
    running.submit("once", *daemon(once))
    until(lambda: starts(long) and starts(once), what="the first starts")
    time_of_note = time.monotonic() + 0.2
    until(lambda: time.monotonic() > time_of_note, what="the journal to know the processes")
    running.agents[1].kill()
    assert lives(starts(long)[0])
    assert lives(starts(once)[0])
    running.start_agent()
    until(lambda: len(starts(long)) == 2, what="the second start")
    assert not lives(starts(long)[0])
    assert running.job("once", 60)["state"] == "ERROR"
    task = running.task("once")
    assert (task["code"], task["outcome"]) == ("AGENT_RESTARTED", "unknown")
    assert not lives(starts(once)[0])
    assert len(starts(once)) == 1
    record = until(lambda: runs(running, "d"), what="the record of the lost run")[0]
    assert (record["run"], record["code"], record["outcome"]) == (1, "AGENT_RESTARTED", "unknown")


def test_a_kill_is_not_forgotten_when_the_agent_dies_before_it_is_done(running: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "starts"
    running.submit("d", *daemon(file, "trap '' TERM; while :; do sleep 0.1; done"), max_time=-1, grace=60)
    until(lambda: starts(file), what="the first start")
    running.ask("POST", "/api/v1/jobs?wait=30", {"cmd": "kill", "args": {"id": "d"}, "target": "1:1"})
    running.agents[1].kill()
    running.start_agent()
    assert running.job("d", 60)["state"] == "KILLED"
    assert len(starts(file)) == 1
    assert not lives(starts(file)[0])


def test_a_job_that_changes_its_mark_is_ended_all_the_same(running: Fleet, tmp_path: Path) -> None:
    running.agents[1].stop()
    policy = tmp_path / "policy.toml"
    policy.write_text("cgroups = false\n")
    policy.chmod(0o600)
    running.start_agent(1, "--config", str(config(tmp_path, f'policy_file = "{policy}"\n')))
    running.submit("m", "/usr/bin/env", "DEPLOYER_RUN=another:job:1", "/bin/sleep", "1000")
    until(lambda: running.job("m")["state"] == "RUNNING", what="the job")
    running.ask("DELETE", "/api/v1/jobs/m")
    assert running.job("m", 30)["state"] == "KILLED"


def test_restart_answers_first_and_ends_the_agent_in_order(running: Fleet) -> None:
    assert running.ask("POST", "/api/v1/jobs?wait=30", {"cmd": "restart", "target": "1:1"})[1]["state"] == "OK"
    process = running.agents[1].process
    assert process is not None
    assert process.wait(30) == 0


def test_a_full_agent_still_answers_and_kills(running: Fleet, tmp_path: Path) -> None:
    running.agents[1].stop()
    running.start_agent(1, "--config", str(config(tmp_path, "max_jobs = 1\nmax_tasks = 2\n")))
    for name in ("a", "b", "c"):
        running.submit(name, "/bin/sleep", "1000")
    until(lambda: running.job("b")["state"] == "RUNNING", what="two tasks to be taken")
    assert running.ask("POST", "/api/v1/jobs?wait=30", {"cmd": "ping", "target": "1:1"})[1]["state"] == "OK"
    running.ask("DELETE", "/api/v1/jobs/b")
    assert running.job("b", 30)["state"] == "KILLED"
    assert running.task("b")["starttime"] == 0
    running.ask("DELETE", "/api/v1/jobs/a")
    until(lambda: running.job("c")["state"] == "RUNNING", what="the next one's turn")


def config(folder: Path, text: str) -> Path:
    """An agent's file."""
    file = folder / "agent.toml"
    file.write_text(text)
    return file


def test_a_process_of_the_agents_own_is_ready_when_its_port_is_open_or_its_time_is_over(
    running: Fleet, tmp_path: Path
) -> None:
    log, listen = tmp_path / "log", tmp_path / "listen.py"
    listen.write_text(
        "import socket, sys, time\n"
        "s = socket.socket()\n"
        "s.bind(('127.0.0.1', int(sys.argv[1])))\n"
        f"open({str(log)!r}, 'a').write('bound\\n')\n"
        "s.listen()\n"
        "time.sleep(1000)\n"
    )
    port = free_port()
    running.agents[1].stop()
    text = f"""
[startup.server]
cmd = "{sys.executable}"
args = ["{listen}", "{port}"]
ready_port = {port}

[startup.slow]
cmd = "/bin/sleep"
args = ["1000"]
ready_after = 0.5
depends_on = ["server"]

[startup.client]
cmd = "/bin/sh"
args = ["-c", "echo client >> {log}; exit 1"]
depends_on = ["slow"]
max_restart = 1
"""
    running.start_agent(1, "--config", str(config(tmp_path, text)))
    until(lambda: log.exists() and log.read_text().split() == ["bound", "client", "client"], what="all three, in order")
    until(lambda: "client has ended: ERROR RESTART_LIMIT" in running.agents[1].text(), what="the end of its restarts")
    assert running.submit("after", "/bin/true", wait_s=30)["state"] == "OK"
    assert running.agents[1].stop() == 0


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_agents_own_processes_start_in_order_and_extensions_are_commands(running: Fleet, tmp_path: Path) -> None:
    log = tmp_path / "log"
    running.agents[1].stop()
    text = f"""
[startup.last]
cmd = "/bin/sh"
args = ["-c", "echo last >> {log}; exec sleep 1000"]
depends_on = ["first", "middle"]

[startup.first]
cmd = "/bin/sh"
args = ["-c", "sleep 0.5; echo first >> {log}; echo it is up; exec sleep 1000"]
ready_match = "is up$"

[startup.middle]
cmd = "/bin/sh"
args = ["-c", "echo middle >> {log}"]
max_time = 10
depends_on = ["first"]

[extensions.greet]
cmd = "/bin/echo"
args = ["Hello {{name}}, {{{{name}}}} {{count}}"]
"""
    running.start_agent(1, "--config", str(config(tmp_path, text)))
    until(lambda: log.exists() and log.read_text().split() == ["first", "middle", "last"], what="all to start in order")
    greet = {"cmd": "greet", "args": {"name": "$(id) {count}", "count": 3}, "target": "1:1", "id": "g"}
    status, job = running.ask("POST", "/api/v1/jobs?wait=30", greet)
    assert (status, job["state"]) == (200, "OK") or (status, job["state"]) == (202, "OK")
    assert running.lines("g") == ["Hello $(id) {count}, {$(id) {count}} 3"]
    missing = {"cmd": "greet", "args": {"name": "x"}, "target": "1:1", "id": "m"}
    assert running.ask("POST", "/api/v1/jobs?wait=30", missing)[1]["state"] == "ERROR"
    assert running.task("m")["code"] == "BAD_ARGUMENTS"
    assert running.ask("POST", "/api/v1/jobs", {"cmd": "unheard", "target": "1:1"})[0] == 422


def test_a_process_of_the_agents_own_that_cannot_be_started_is_tried_again(running: Fleet, tmp_path: Path) -> None:
    program = tmp_path / "late"
    running.agents[1].stop()
    text = f"""
[startup.late]
cmd = "{program}"
args = ["1000"]
"""
    running.start_agent(1, "--config", str(config(tmp_path, text)))
    until(lambda: "late cannot be started, NOT_FOUND" in running.agents[1].text(), what="the first try")
    program.symlink_to("/bin/sleep")
    until(lambda: psutil.Process(running.agents[1].pid).children(), what="a later try")
    assert running.agents[1].stop() == 0


def test_a_restricted_host_runs_what_is_listed_with_harmless_variables(running: Fleet, tmp_path: Path) -> None:
    """Without a race: the link that the job names is not what is executed."""
    policy = tmp_path / "policy.toml"
    policy.write_text('executables = ["/usr/bin/id", "/usr/bin/env"]\nallow_root = true\n')
    running.agents[1].stop()
    text = f"""
policy_file = "{policy}"
[extensions.show]
cmd = "/usr/bin/env"
env = {{ OWN = "1" }}
"""
    running.start_agent(1, "--config", str(config(tmp_path, text)))
    (tmp_path / "link").symlink_to("/usr/bin/id")
    assert running.submit("link", str(tmp_path / "link"), "-u", wait_s=30)["state"] == "OK"
    for job, path in (("sh", "/bin/sh"), ("self", "/proc/self/exe")):
        assert running.submit(job, path, wait_s=30)["state"] == "ERROR"
        assert running.task(job)["code"] == "NOT_ALLOWED"
    assert running.submit("env", "/usr/bin/id", env={"PERL5OPT": "-Mx"}, wait_s=30)["state"] == "ERROR"
    assert running.task("env")["reason"] == "the policy of this host does not allow the variable PERL5OPT"
    assert running.submit("lang", "/usr/bin/id", env={"LANG": "C"}, wait_s=30)["state"] == "OK"
    show = {"cmd": "show", "args": {}, "target": "1:1", "id": "show"}
    assert running.ask("POST", "/api/v1/jobs?wait=30", show)[1]["state"] == "OK"
    assert "OWN=1" in running.lines("show")


def test_a_storm_of_kills_starts_no_run_twice(running: Fleet, tmp_path: Path) -> None:
    """Each start notes its own mark (task and run): none occurs twice, and no two runs of a task live at once."""
    file, random = tmp_path / "marks", Random(7)  # noqa: S311 (moments, not secrets)
    note = f'echo "$DEPLOYER_RUN $$" >> {file}; '
    running.submit("long", "/bin/sh", "-c", note + "exec sleep 1000", max_time=-1, max_restart=100)
    running.submit("flaky", "/bin/sh", "-c", note + "sleep 0.2; exit 1", max_time=-1, max_restart=1000)
    running.submit("often", "/bin/sh", "-c", note, recurring_period=1)
    jobs = [f"job{n}" for n in range(120)]
    for cycle in range(12):
        for job in jobs[cycle * 10 : cycle * 10 + 10]:
            running.submit(job, "/bin/sh", "-c", note + "sleep 0.1")
        moment = time.monotonic() + random.uniform(0, 1.5)
        until(lambda moment=moment: time.monotonic() > moment, what="the moment of the kill")
        running.agents[1].kill()
        running.start_agent()
    states = [running.job(job, 60)["state"] for job in jobs]
    assert set(states) <= {"OK", "ERROR"}
    until(lambda: len([mark for mark in marks(file) if ":long:" in mark[0]]) >= 2, what="the long-running one")
    written = marks(file)
    names = [mark for mark, _ in written]
    assert sorted(names) == sorted(set(names))
    started = {name.split(":")[1] for name in names}
    assert {job for job, state in zip(jobs, states, strict=True) if state == "OK"} <= started
    assert len([pid for mark, pid in written if ":long:" in mark and lives(pid)]) == 1
    assert len([pid for mark, pid in written if ":flaky:" in mark and lives(pid)]) <= 1


def marks(file: Path) -> list[tuple[str, int]]:
    """Marks and pids that scripts have written down, complete lines only."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [(mark, int(pid)) for mark, pid in (line.split() for line in lines)]
