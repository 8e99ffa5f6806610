"""What shells are offered: names that the master knows, and nothing at all when it cannot be asked."""

import os
import subprocess
from pathlib import Path

import pytest

from support.cli import Cli
from support.scripted import Answer, ScriptedMaster, answer, nobody


def offered(cli: Cli, *words: str, **env: str | None) -> list[str]:
    """What bash is offered for the last word."""
    asked = {
        "_DEPLOYER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["deployer", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = cli(env=asked | env)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_and_options_are_offered(cli: Cli) -> None:
    assert offered(cli, "lo") == ["log", "logs", "login", "logout"]
    assert "--pass-exit" in offered(cli, "run", "--p")


def test_names_that_the_master_knows_are_offered(master: ScriptedMaster, cli: Cli) -> None:
    jobs = [{"id": i, "state": "OK", "cmd": "ping", "target": "1:1"} for i in ("ab1", "ab2", "c")]
    agents = [{"gid": 1, "nid": n, "hostname": "web", "state": "online"} for n in (1, 2)]
    master.on("GET /api/v1/jobs", answer({"items": jobs, "next": None}))
    master.on("GET /api/v1/agents", answer({"items": agents, "next": None}))
    master.on("GET /api/v1/hosts", answer({"items": [{"id": "1:1", "name": "web"}], "next": None}))
    master.on("GET /api/v1/scripts", answer({"items": [{"domain": "d", "name": "n"}], "next": None}))
    assert offered(cli, "job", "ab") == ["ab1", "ab2"]
    assert offered(cli, "logs", "-f", "c") == ["c"]
    assert offered(cli, "run", "-t", "1:") == ["1:1", "1:2"]
    assert offered(cli, "agents", "--name", "w") == ["web"]
    assert offered(cli, "scripts", "get", "d") == ["d/n"]
    assert offered(cli, "--url", master.url, "job", "c") == ["c"]


def test_contexts_are_offered(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[contexts.prod]\nurl = "http://p"\n[contexts.test]\n')
    config.chmod(0o600)
    assert offered(cli, "contexts", "use", "p", DEPLOYER_CONFIG=str(config)) == ["prod"]
    assert offered(cli, "agents", "--context", "", DEPLOYER_CONFIG=str(config)) == ["prod", "test"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": [3]}'])
def test_what_goes_wrong_is_silence(master: ScriptedMaster, cli: Cli, body: bytes) -> None:
    master.on("GET /api/v1/jobs", Answer(body=body))
    assert offered(cli, "job", "") == []
    with nobody() as url:
        assert offered(cli, "job", "", DEPLOYER_URL=url) == []
    assert offered(cli, "job", "", DEPLOYER_TOKEN_FILE="/nonexistent") == []
    assert offered(cli, "contexts", "use", "", DEPLOYER_CONFIG="/nonexistent") == []


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --")])
def test_each_shell_has_its_script(cli: Cli, shell: str, word: str) -> None:
    script = cli("completion", shell).stdout
    assert word in script
    assert "_DEPLOYER_COMPLETE" in script
    assert cli("completion", "csh").exit_code == 2


def test_bash_takes_its_script(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "deployer"
    script.write_text(cli("completion", "bash").stdout)
    line = f"source {script}; complete -p deployer"
    done = subprocess.run(["bash", "--norc", "-c", line], capture_output=True, text=True, env=os.environ, check=True)
    assert "deployer_completion" in done.stdout
