"""The command line as a person uses it, with a real master and two agents."""

import json
import subprocess
import sys
from pathlib import Path

from support.cli import program_environment
from support.programs import Fleet

PROGRAM = [sys.executable, "-c", "from deployer.cli.main import main; main(prog_name='deployer')"]


def test_log_in_run_everywhere_read_the_logs_and_log_out(running: Fleet, tmp_path: Path) -> None:
    running.start_agent(2)
    env = program_environment({"XDG_CONFIG_HOME": str(tmp_path / "home")})

    def deployer(*words: str, code: int = 0) -> str:
        done = subprocess.run([*PROGRAM, *words], env=env, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    deployer("login", running.url, "--name", "here", "--token-file", str(running.data / "admin-token"))
    assert deployer("contexts", "list", "-q") == "here\n"
    assert [json.loads(line)["nid"] for line in deployer("agents", "--ndjson").splitlines()] == [1, 2]
    shown = deployer("run", "-t", "*", "-b", "--id", "a", "--", "echo", "hi")
    assert shown == "---------------\n1:[1-2] (2)\n---------------\nhi\n"
    line = 'echo "$DEPLOYER_NID"; exit $((DEPLOYER_NID - 1))'
    shown = deployer("run", "-t", "*", "--gather", "--id", "b", "--shell", "--", line, code=1)
    assert "1:1 (1)\n---------------\n1\n" in shown
    assert "1:2 (1): ERROR EXIT_STATUS" in shown
    assert sorted(deployer("logs", "-f", "a", "b").splitlines()) == [
        "a  1:1  hi",
        "a  1:2  hi",
        "b  1:1  1",
        "b  1:2  2",
    ]
    assert deployer("run", "-t", "1:2", "--pass-exit", "--", "/bin/sh", "-c", "exit 7", code=7) == ""
    deployer("run", "-t", "1:9", "--", "true", code=4)
    deployer("logout")
    deployer("agents", code=2)
