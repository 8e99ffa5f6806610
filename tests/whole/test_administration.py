"""The command line against a real master: users, tokens, scripts, the audit log, signals."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deployer.cli.main import main
from support.programs import Fleet
from support.wait import until


class Shell:
    """`deployer` as the admin of a fleet, or with another token."""

    def __init__(self, running: Fleet) -> None:
        self.running = running
        self.token_file = running.data / "admin-token"

    def __call__(self, *arguments: str, given: str | None = None, code: int = 0) -> Result:
        environment = {"DEPLOYER_URL": self.running.url, "DEPLOYER_TOKEN_FILE": str(self.token_file)}
        result = CliRunner().invoke(main, arguments, input=given, env=environment, prog_name="deployer")
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result

    def rows(self, *arguments: str) -> list[list[str]]:
        return [line.split("\t") for line in self(*arguments).stdout.splitlines()]

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture
def shell(running: Fleet) -> Shell:
    return Shell(running)


def test_users_and_their_tokens_are_managed(shell: Shell, tmp_path: Path) -> None:
    made = shell("users", "add", "eve", "--role", "operator", "--email", "eve@example.com", "--agents", "1:1,1:2")
    assert (made.stdout, made.stderr) == ("", "deployer: user eve is made as operator\n")
    assert ["eve", "operator", "eve@example.com", "1:1,1:2", "False"] in [row[:5] for row in shell.rows("users")]
    shell("users", "set", "eve", "--agents", "all", "--role", "viewer")
    (eve,) = [one for one in shell.json("users", "list")["items"] if one["name"] == "eve"]
    assert (eve["role"], eve["agents"], eve["has_password"]) == ("viewer", None, False)
    shell("users", "passwd", "eve", given="correct horse battery\nignored\n")
    assert "at least" not in shell("users", "passwd", "eve", given="short\n", code=2).stdout
    token = shell("tokens", "add", "nightly", "--user", "eve")
    mine = tmp_path / "token"
    mine.write_text(token.stdout)
    mine.chmod(0o600)
    shell.token_file = mine
    assert shell("agents", "-q").stdout == "1:1\n"
    shell("users", code=3)
    shell.token_file = shell.running.data / "admin-token"
    (row,) = [row for row in shell.rows("tokens") if row[1] == "nightly"]
    assert row[2:4] == ["eve", "viewer"]
    assert shell("tokens", "rm", row[0]).stderr == f"deployer: token {row[0]} is revoked\n"
    shell("users", "set", "eve", "--disabled")
    shell("users", "rm", "eve")
    shell("users", "rm", "eve", code=4)
    shell("users", "add", "Eve!", code=2)


def test_agents_join_by_a_token_that_was_made_here(shell: Shell) -> None:
    token = shell("join-tokens", "add", "rack 7", "--uses", "2")
    assert token.stdout.startswith("dpj_")
    (row,) = [row for row in shell.rows("join-tokens") if row[1] == "rack 7"]
    assert row[2:4] == ["1", "2"]
    shell("join-tokens", "rm", row[0])
    assert row[0] not in shell("join-tokens", "list", "-q").stdout
    shell("join-tokens", "add", "x", "--expires", "tomorrow", code=2)


def test_scripts_are_put_shown_and_removed(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "free.py"
    file.write_text("print('é')\n")
    shell("scripts", "put", "disk/free", str(file))
    shell("scripts", "put", "disk/used", "-", given="print(1)")
    assert shell("scripts", "get", "disk/free").stdout == "print('é')\n"
    assert [row[:3] for row in shell.rows("scripts")] == [["disk", "free", "12"], ["disk", "used", "8"]]
    shell("scripts", "rm", "disk/free")
    shell("scripts", "get", "disk/free", code=4)
    for wrong in ("disk", "/x", "a/b/c"):
        shell("scripts", "get", wrong, code=2)
    shell("scripts", "put", "disk/free", str(tmp_path / "none"), code=2)


def test_the_audit_log_is_shown_and_checked(shell: Shell) -> None:
    shell("users", "add", "eve")
    newest = shell.rows("audit", "--limit", "1")[0]
    assert newest[2:] == ["admin", newest[3], "POST /api/v1/users", "eve", "allowed", ""]
    assert shell.rows("audit", "--user", "nobody") == []
    assert shell("audit", "--verify").stderr.endswith("entries: all follow\n")
    assert shell.json("audit", "--verify")["broken"] is None
    shell("audit", "--from", "yesterday", code=2)


def test_a_job_is_sent_a_signal_and_ended(shell: Shell) -> None:
    line = "trap 'echo hung up' HUP; while :; do sleep 0.1; done"
    shell.running.submit("s", "/bin/sh", "-c", line)
    until(lambda: shell.running.job("s")["state"] == "RUNNING", what="the job to run")
    until(lambda: shell.rows("ps", "--job", "s"), what="the process")
    assert shell("kill", "s", "--signal", "HUP").stderr == "deployer: 1:1: OK\n"
    until(lambda: shell.running.lines("s") == ["hung up"], what="the signal")
    shell("kill", "s", "-t", "1:1")
    assert shell.running.job("s", wait_s=30)["state"] == "KILLED"
    shell("kill", "none", code=4)
    shell("kill", "s", "--signal", "COLOUR", code=2)
