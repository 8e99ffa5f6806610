"""The real programs: how they start, in the background too, and what stops them from it."""

import contextlib
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import psutil
import pytest

from support.programs import ROOT, TWISTD, Fleet, environment, fleet, lives, run_to_its_end
from support.wait import until


def test_a_master_in_the_background_works_and_ends(tmp_path: Path) -> None:
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    options = [f"--pidfile={pidfile}", f"--logfile={log}", "deployer-master", f"--data-dir={tmp_path / 'm'}"]
    done = subprocess.run([TWISTD, *options, "-p0"], env=environment(), cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
    until(lambda: log.exists() and "the API listens at" in log.read_text(), what="the master in the background")
    pid = int(pidfile.read_text())
    try:
        port = log.read_text().partition("the API listens at")[2].partition("port=")[2].partition(")")[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
            assert answer.status == 200
        children = [child.pid for child in psutil.Process(pid).children(recursive=True)]
        assert len(children) == 1
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(lives(one) for one in (pid, *children)), what="the master and its Redis to end")


def test_check_shows_each_setting_with_its_source(tmp_path: Path) -> None:
    master = run_to_its_end("deployer-master", "--check", f"--data-dir={tmp_path}")
    assert master.returncode == 0
    assert f"data_dir = '{tmp_path}'  # command line" in master.stdout
    agent = run_to_its_end("deployer-agent", "--check", "--url=https://master.example:8966")
    assert agent.returncode == 0
    assert "url = 'https://master.example:8966'  # command line" in agent.stdout
    assert not list(tmp_path.iterdir())


def test_another_admin_token_is_made_beside_a_running_master_and_without_one(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.start_master()
        first = (made.data / "admin-token").read_text()
        assert run_to_its_end("deployer-master", f"--data-dir={made.data}", "--new-admin-token").returncode == 0
        second = (made.data / "admin-token").read_text()
        made.master.stop()
        assert run_to_its_end("deployer-master", f"--data-dir={made.data}", "--new-admin-token").returncode == 0
        third = (made.data / "admin-token").read_text()
        assert len({first, second, third}) == 3
        assert made.redis_servers() == []
        made.start_master()
        for token in (first, second, third):
            assert _answers(made, token)


def _answers(made: Fleet, token: str) -> bool:
    request = urllib.request.Request(f"{made.url}/api/v1/agents", headers={"Authorization": f"Bearer {token.strip()}"})  # noqa: S310 (our own master)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (our own master)
        return bool(answer.status == 200)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deployer-master", "--http=tcp:0"], "would carry tokens in plain text"),
        (["deployer-master", "--config=/nope"], "cannot read /nope"),
        (["deployer-master", "--redis=127.0.0.1:1", "--key-file=/nope"], "masters' key /nope does not exist"),
        (["deployer-master", "--port=x"], "takes a number"),
        (["deployer-agent", "--url=http://10.0.0.1:1"], "not encrypted"),
        (["deployer-agent", "--url=http://127.0.0.1:1"], "has not joined yet"),
        (["deployer-agent", "--gid=x"], "gid (command line)"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_status_1_and_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run_to_its_end(*arguments, f"--data-dir={tmp_path / 'd'}")
    assert done.returncode == 1
    said = [line for line in (done.stdout + done.stderr).splitlines() if message in line]
    assert len(said) == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["master.key", "agent.key"])
def test_a_key_that_others_can_read_stops_the_start(tmp_path: Path, name: str) -> None:
    with fleet(tmp_path) as made:
        made.start_master()
        made.start_agent()
        made.stop()
        key = (made.data if name == "master.key" else made.agent_data(1)) / name
        key.chmod(0o644)
        program = "deployer-master" if name == "master.key" else "deployer-agent"
        done = run_to_its_end(program, f"--data-dir={key.parent}", *(["-p0"] if name == "master.key" else []))
        assert done.returncode == 1
        assert f"chmod 600 {key}" in done.stdout + done.stderr


def test_everything_the_programs_write_is_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with fleet(tmp_path) as made:
            made.start_master()
            made.start_agent()
            made.submit("umask", "/bin/sh", "-c", "umask", wait_s=60)
            assert made.lines("umask") in (["0077"], ["077"])
            for folder in (made.data, made.agent_data(1)):
                for path in (folder, *folder.rglob("*")):
                    with contextlib.suppress(FileNotFoundError):
                        assert path.stat().st_mode & 0o077 == 0, path
    finally:
        os.umask(old)
