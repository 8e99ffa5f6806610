"""What shells are offered: names that the master knows, and nothing at all when it cannot be asked."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from support.cli import Cli, program_environment
from support.scripted import Answer, ScriptedMaster, answer, nobody


def offered(cli: Cli, *words: str, **env: str | None) -> list[str]:
    """What bash is offered for the last word."""
    import_module("deployer.cli.shells")  # as the program does when a shell asks
    asked = {"_DEPLOYER_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["deployer", *words])}
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


def test_bash_is_given_what_stands_behind_its_break(master: ScriptedMaster, cli: Cli) -> None:
    agents = [{"gid": 1, "nid": n, "hostname": "web", "state": "online"} for n in (1, 12)]
    master.on("GET /api/v1/agents", answer({"items": agents, "next": None}))
    breaks = " \t\n\"'><=;|&(:"
    assert offered(cli, "run", "-t", "1:1", COMP_BREAKS=breaks) == ["1", "12"]
    assert offered(cli, "run", "-t ", COMP_BREAKS=breaks) == ["1:1", "1:12"]
    assert offered(cli, "run", "-e", "'a b'", "-t", "1:12", COMP_BREAKS=breaks) == ["12"]


def test_contexts_are_offered(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[contexts.prod]\nurl = "http://p"\n[contexts.test]\n')
    config.chmod(0o600)
    assert offered(cli, "contexts", "use", "p", DEPLOYER_CONFIG=str(config)) == ["prod"]
    assert offered(cli, "agents", "--context ", DEPLOYER_CONFIG=str(config)) == ["prod", "test"]


def test_a_name_that_a_shell_would_run_is_not_offered(master: ScriptedMaster, cli: Cli) -> None:
    names = ["web1", "$(reboot)", "a;reboot", "-x", "a b", "b\nc", "\x1b[2J", ""]
    master.on("GET /api/v1/hosts", answer({"items": [{"id": "1:1", "name": name} for name in names], "next": None}))
    assert offered(cli, "agents", "--name ") == ["web1"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": [3]}'])
def test_what_goes_wrong_is_silence(master: ScriptedMaster, cli: Cli, body: bytes) -> None:
    master.on("GET /api/v1/jobs", Answer(body=body))
    assert offered(cli, "job ") == []
    with nobody() as url:
        assert offered(cli, "job ", DEPLOYER_URL=url) == []
    assert offered(cli, "job ", DEPLOYER_TOKEN_FILE="/nonexistent") == []
    assert offered(cli, "contexts", "use ", DEPLOYER_CONFIG="/nonexistent") == []


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --")])
def test_each_shell_has_its_script(cli: Cli, shell: str, word: str) -> None:
    script = cli("completion", shell).stdout
    assert word in script
    assert "_DEPLOYER_COMPLETE" in script
    assert cli("completion", "csh").exit_code == 2


def test_bash_completes_by_its_script(
    master: ScriptedMaster, cli: Cli, tmp_path: Path, environment: dict[str, str | None]
) -> None:
    agents = [{"gid": 1, "nid": n, "hostname": "web", "state": "online"} for n in (1, 2)]
    master.on("GET /api/v1/agents", answer({"items": agents, "next": None}))
    script, program = tmp_path / "script", tmp_path / "deployer"
    script.write_text(cli("completion", "bash").stdout)
    code = "from deployer.cli.main import main; main(prog_name='deployer')"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o700)
    line = "deployer run -t 1:"
    words = f"COMP_LINE='{line}' COMP_POINT={len(line)}; _deployer_completion {program}; echo ${{COMPREPLY[@]}}"
    command = ["bash", "--norc", "-c", f"source {script}; complete -p deployer; {words}"]
    env = program_environment(environment)
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout == "complete -o nosort -F _deployer_completion deployer\n1 2\n"
