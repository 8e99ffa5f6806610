"""`deployer agents`, `jobs`, `job`, `log`, `cancel`, and how a master is chosen."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployer.cli.main import COMMANDS
from deployer.cli.output import harmless, one_line
from support.cli import Cli, program_environment
from support.scripted import ScriptedMaster, answer, end, message, nobody, refusal, stream

AGENT = {"gid": 1, "nid": 2, "state": "online", "last_seen": "2026-11-23T01:02:03.456Z", "version": "0.1.0"}
JOB: dict[str, Any] = {
    "id": "j1",
    "state": "OK",
    "cmd": "execute",
    "target": "1:1",
    "created": "2026-11-23T01:02:03.456Z",
    "args": {"cmd": "/bin/echo", "args": ["a\tb", "c\nd"]},
}
TASK = {"id": "j1", "agent": {"gid": 1, "nid": 1}, "state": "ERROR", "code": "EXIT_STATUS", "exit_status": 3}


def page(*items: object) -> Any:
    return answer({"items": items, "next": None})


def test_agents_are_listed_between_tabs(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/agents", page({**AGENT, "hostname": "web\x1b1"}, AGENT))
    lines = cli("agents").stdout.splitlines()
    assert lines[0].split("\t") == ["1:2", "online", "web\\x1b1", "", "2026-11-23T01:02:03.456Z", "0.1.0"]
    assert cli("agents", "-q").stdout == "1:2\n1:2\n"
    assert json.loads(cli("agents", "--json").stdout)["items"][1] == AGENT


def test_the_master_may_be_named_before_the_command_or_behind_it(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/agents", page(AGENT))
    for arguments in (["--url", master.url, "agents"], ["agents", "--url", master.url]):
        assert cli(*arguments, "-q").stdout == "1:2\n"
    for arguments in (["--url", "nonsense", "agents"], ["--url", master.url, "agents", "--url", "nonsense"]):
        assert cli(*arguments).exit_code == 2


def test_jobs_are_listed_one_line_each(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/jobs", page(JOB, {**JOB, "cmd": "ping"}))
    first, second = cli("jobs", "--state", "ok", "--limit", "5").stdout.splitlines()
    assert first.split("\t")[:4] == ["j1", "OK", "1:1", "/bin/echo 'a\\x09b' 'c\\x0ad'"]
    assert second.split("\t")[3] == "ping"
    assert master.methods() == ["GET /api/v1/jobs?state=OK&limit=5"]
    assert cli("jobs", "-q").stdout == "j1\nj1\n"
    assert json.loads(cli("jobs", "--json").stdout)["items"][0] == JOB


def test_a_job_is_shown_with_its_tasks(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/jobs/j1", answer(JOB))
    master.on("GET /api/v1/jobs/j1/tasks", page(TASK))
    job, task = cli("job", "j1").stdout.splitlines()
    assert job.startswith("j1\tOK\t1:1\t")
    assert task == "1:1\tERROR\tEXIT_STATUS\t3\t\t\t"
    assert json.loads(cli("job", "j1", "--json").stdout)["tasks"]["items"] == [TASK]
    assert cli("job", "j1", "-q").stdout == "OK\n"


@pytest.mark.parametrize(("state", "code"), [("OK", 0), ("ERROR", 1), ("TIMEOUT", 124), ("RUNNING", 124)])
def test_a_job_that_is_waited_for_gives_its_exit_code(master: ScriptedMaster, cli: Cli, state: str, code: int) -> None:
    master.on("GET /api/v1/jobs/j1", answer({**JOB, "state": state}))
    assert cli("job", "j1", "--wait", "0", "-q").exit_code == code
    assert cli("job", "j1", "-q").exit_code == 0


def test_a_log_is_shown_whole_or_followed(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/jobs/j1", answer(JOB))
    master.on("GET /api/v1/jobs/j1/log", page({"agent": "1:1", "level": 1, "data": "a"}))
    assert cli("log", "j1").stdout == "a\n"
    dropped = 'event: dropped\ndata: {"dropped": 3}\n\n'
    master.on("GET /api/v1/jobs/j1/log", stream(message("1-0.0", 1, "b"), dropped, end(JOB)))
    result = cli("log", "-f", "j1")
    assert (result.stdout, result.stderr) == ("b\n", "deployer: 3 messages were dropped here\n")
    assert json.loads(cli("log", "-f", "--json", "j1").stdout)["items"][0]["data"] == "b"


def test_the_log_of_several_agents_says_who_said_what(master: ScriptedMaster, cli: Cli) -> None:
    counts = {"OK": 2}
    master.on("GET /api/v1/jobs/j1", answer({**JOB, "tasks": {"href": "x", "counts": counts}}))
    items = [
        {"agent": "1:7", "level": 1, "data": "a\nb"},
        {"agent": "1:8", "level": 2, "data": "c"},
        {"agent": "1:8", "level": 7, "data": "d"},
    ]
    master.on("GET /api/v1/jobs/j1/log", answer({"items": items, "next": None}))
    shown = cli("log", "j1")
    assert shown.stdout == "1:7  a\n1:7  b\n"
    assert shown.stderr == "1:8  c\n1:8  warning: d\n"


def test_cancel_asks_for_the_end(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/jobs/j1", answer({**JOB, "state": "RUNNING"}))
    master.on("DELETE /api/v1/jobs/j1", answer({**JOB, "state": "RUNNING"}, 202))
    assert cli("cancel", "j1").stderr == "deployer: j1 is asked to end; it is RUNNING\n"
    assert cli("cancel", "-q", "j1").output == ""
    assert json.loads(cli("cancel", "--json", "j1").stdout)["state"] == "RUNNING"
    asked = len(master.methods())
    master.on("GET /api/v1/jobs/j1", answer({**JOB, "state": "OK"}))
    assert cli("cancel", "j1").stderr == "deployer: j1 has ended before: it is OK\n"
    assert len(master.methods()) == asked + 1


def test_an_unknown_job_is_4(cli: Cli) -> None:
    result = cli("job", "nope")
    assert (result.exit_code, result.stderr) == (4, "deployer: There is nothing here.\n")


def test_a_wrong_token_is_3(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/agents", refusal(401, "unauthorized", "The token is not known."))
    result = cli("agents")
    assert result.exit_code == 3
    assert "is the token right?" in result.stderr
    assert "dpl_1_secret" not in result.output


def test_an_unreachable_master_is_5(cli: Cli) -> None:
    with nobody() as url:
        result = cli("agents", "--url", url)
    assert result.exit_code == 5
    assert f"no master answers at {url}" in result.stderr


def test_a_missing_or_open_or_empty_token_file_is_2(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "open").write_text("t")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "empty").touch(0o600)
    whys = {"missing": "cannot read the token file", "open": "chmod 600", "empty": "does not hold a token"}
    for name, why in whys.items():
        result = cli("agents", "--token-file", str(tmp_path / name))
        assert result.exit_code == 2
        assert why in result.stderr


def write_config(path: Path, text: str) -> dict[str, str | None]:
    path.write_text(text)
    path.chmod(0o600)
    return {"DEPLOYER_CONFIG": str(path), "DEPLOYER_URL": None, "DEPLOYER_TOKEN_FILE": None}


def test_a_context_names_master_and_token_relative_to_its_file(
    master: ScriptedMaster, cli: Cli, token_file: Path, tmp_path: Path
) -> None:
    master.on("GET /api/v1/agents", page(AGENT))
    text = f'current = "a"\n[contexts.a]\nurl = "{master.url}"\ntoken_file = "{token_file.name}"\n'
    text += '[contexts.b]\nurl = "x:"\n'
    env = write_config(tmp_path / "config.toml", text)
    assert cli("agents", env=env).exit_code == 0
    assert master.asked[0].headers["Authorization"] == "Bearer dpl_1_secret"
    assert "no token for x:" in cli("agents", "--context", "b", env=env).stderr
    assert "has no context 'c'" in cli("agents", "--context", "c", env=env).stderr


def test_a_token_of_a_context_is_never_sent_to_another_address(
    master: ScriptedMaster, cli: Cli, token_file: Path, tmp_path: Path
) -> None:
    text = f'current = "a"\n[contexts.a]\nurl = "http://elsewhere"\ntoken_file = "{token_file}"\n'
    result = cli("agents", "--url", master.url, env=write_config(tmp_path / "config.toml", text))
    assert result.exit_code == 2
    assert master.asked == []


@pytest.mark.parametrize(("text", "why"), [("current = ", "is not TOML"), ("", "no master is named")])
def test_a_bad_context_file_is_2(cli: Cli, tmp_path: Path, text: str, why: str) -> None:
    result = cli("agents", env=write_config(tmp_path / "config.toml", text))
    assert result.exit_code == 2
    assert why in result.stderr


def test_a_context_file_that_others_can_read_is_refused(cli: Cli, tmp_path: Path) -> None:
    env = write_config(tmp_path / "config.toml", "")
    (tmp_path / "config.toml").chmod(0o640)
    assert "chmod 600" in cli("agents", env=env).stderr


def test_without_any_master_it_says_how_to_name_one(cli: Cli, tmp_path: Path) -> None:
    env = {"DEPLOYER_CONFIG": None, "DEPLOYER_URL": None, "XDG_CONFIG_HOME": str(tmp_path)}
    result = cli("agents", env=env)
    assert result.exit_code == 2
    assert "DEPLOYER_URL" in result.stderr


def test_help_lists_every_command_and_each_has_its_own(cli: Cli) -> None:
    text = cli("--help").stdout
    for name, (_, short) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(short)}$", text, re.MULTILINE)
        assert short.rstrip(".") in cli(name, "--help").stdout
    assert cli("nonsense").exit_code == 2


def test_help_imports_neither_client_nor_rich_nor_twisted() -> None:
    code = "import sys, deployer.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=program_environment(), check=True, capture_output=True, text=True
    )
    assert not {"rich", "twisted", "http.client", "deployer.client.client"} & set(done.stdout.split())


def test_on_a_terminal_there_is_a_table(master: ScriptedMaster, environment: dict[str, str | None]) -> None:
    master.on("GET /api/v1/agents", page(AGENT))
    ours, theirs = os.openpty()
    env = program_environment({**environment, "NO_COLOR": "1", "TERM": "dumb"})
    code = "from deployer.cli.main import main; main(['agents'])"
    subprocess.run([sys.executable, "-c", code], env=env, stdout=theirs, check=True)
    os.close(theirs)
    seen = os.read(ours, 5000).decode()
    os.close(ours)
    assert "LAST SEEN" in seen
    assert "\x1b" not in seen


def test_control_characters_are_shown() -> None:
    assert harmless("a\x00\x1b\x7f\x85\u202e\n\tä") == "a\\x00\\x1b\\x7f\\x85\\u202e\n\tä"
    assert one_line("a\r\n\tb") == "a\\x0d\\x0a\\x09b"


def test_lists_as_lines_of_json_come_page_by_page(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/agents", answer({"items": [AGENT], "next": "c"}), page({**AGENT, "nid": 3}))
    lines = cli("agents", "--ndjson").stdout.splitlines()
    assert [json.loads(line)["nid"] for line in lines] == [2, 3]
    master.on("GET /api/v1/users", page({"name": "ann"}, {"name": "bob"}))
    assert cli("users", "list", "--ndjson").stdout == '{"name": "ann"}\n{"name": "bob"}\n'
    master.on("GET /api/v1/jobs/j1", answer(JOB))
    master.on("GET /api/v1/jobs/j1/tasks", page(TASK))
    assert json.loads(cli("job", "j1", "--ndjson").stdout)["tasks"]["items"] == [TASK]
    assert cli("agents", "--ndjson", "--json").exit_code == 2
