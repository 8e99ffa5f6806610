"""Each exit code (CONVENTIONS 3.4) by the commands that give it."""

from typing import Any

import pytest

from support.cli import Cli
from support.scripted import Answer, ScriptedMaster, answer, end, nobody, refusal, stream

JOB: dict[str, Any] = {"id": "j1", "state": "RUNNING", "cmd": "execute", "target": "1:1", "tasks": {"counts": {}}}
RUN = ("run", "-t", "1:1", "x")
LISTS = [("agents",), ("hosts",), ("jobs",), ("ps",), ("users",), ("scripts",), ("tokens",), ("audit",)]
OF_A_JOB = [("job", "j1"), ("log", "j1"), ("logs", "j1"), ("logs", "-f", "j1"), ("cancel", "j1"), ("rerun", "j1"), RUN]


def refuse(master: ScriptedMaster, status: int, code: str = "why") -> None:
    """Whatever is asked."""
    master.otherwise = refusal(status, code, "Because.")


def ends(master: ScriptedMaster, state: str, *tasks: dict[str, Any]) -> None:
    """A job that ends so."""
    ended = {**JOB, "state": state, "tasks": {"counts": {state: max(len(tasks), 1)}}}
    for path in ("jobs", "jobs/j0/rerun"):
        master.on(f"POST /api/v1/{path}", answer(JOB, 202))
    master.on("GET /api/v1/jobs/j1", answer(ended))
    master.on("GET /api/v1/jobs/j1/log", stream(end(ended)))
    items = [{"id": "j1", "agent": {"gid": 1, "nid": n}, **one} for n, one in enumerate(tasks, 1)]
    master.on("GET /api/v1/jobs/j1/tasks", answer({"items": items, "next": None}))


@pytest.mark.parametrize("command", LISTS)
def test_0_when_all_is_well(master: ScriptedMaster, cli: Cli, command: tuple[str, ...]) -> None:
    master.otherwise = answer({"items": [], "next": None})
    assert cli(*command).exit_code == 0


@pytest.mark.parametrize("command", [RUN, ("rerun", "j0"), ("job", "j1", "--wait", "5")])
@pytest.mark.parametrize(("state", "code"), [("OK", 0), ("ERROR", 1), ("KILLED", 1), ("TIMEOUT", 124)])
def test_how_a_job_ended(master: ScriptedMaster, cli: Cli, command: tuple[str, ...], state: str, code: int) -> None:
    ends(master, state, {"state": state})
    assert cli(*command).exit_code == code


def test_124_when_a_job_takes_longer_than_is_waited(master: ScriptedMaster, cli: Cli) -> None:
    ends(master, "RUNNING", {"state": "RUNNING"})
    assert cli("job", "j1", "--wait", "0").exit_code == 124


@pytest.mark.parametrize("command", [*LISTS, *OF_A_JOB])
@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (401, 3), (403, 3), (404, 4), (409, 1), (422, 2), (500, 1), (502, 5), (507, 1)]
)
def test_refusals(master: ScriptedMaster, cli: Cli, command: tuple[str, ...], status: int, code: int) -> None:
    refuse(master, status)
    assert cli(*command).exit_code == code


def test_4_when_the_target_means_nobody(master: ScriptedMaster, cli: Cli) -> None:
    refuse(master, 422, "no_matching_agent")
    assert cli(*RUN).exit_code == 4


@pytest.mark.parametrize("command", [("agents",), RUN, ("logs", "-f", "j1"), ("login", "URL", "--token-file", "-")])
def test_5_when_no_master_answers(cli: Cli, command: tuple[str, ...]) -> None:
    with nobody() as url:
        words = [url if word == "URL" else word for word in command]
        done = cli(*words, input="dpl_1_x", env={"DEPLOYER_URL": url})
    assert done.exit_code == 5
    assert url in done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("nonsense",),
        ("run",),
        ("run", "-t", "1:1"),
        ("run", "-t", "1:1", "--fanout", "0", "x"),
        ("agents", "--state", "asleep"),
        ("agents", "--json", "--ndjson"),
        ("agents", "--context", "nope"),
        ("jobs", "--limit", "0"),
        ("ps", "-t", "web"),
        ("logs", "--limit", "0"),
        ("logout", "nope"),
        ("completion", "tcsh"),
    ],
)
def test_2_when_it_is_used_wrongly(master: ScriptedMaster, cli: Cli, command: tuple[str, ...]) -> None:
    assert cli(*command).exit_code == 2
    assert master.asked == []


def test_1_when_what_answers_is_no_master(master: ScriptedMaster, cli: Cli) -> None:
    master.otherwise = Answer(status=500, body=b"<html>")
    assert cli("agents").exit_code == 1


@pytest.mark.parametrize(
    ("tasks", "code"),
    [
        ([{"state": "OK", "exit_status": 0}], 0),
        ([{"state": "ERROR", "exit_status": 7}], 7),
        ([{"state": "ERROR", "exit_status": None, "signal": "SIGSEGV"}], 139),
        ([{"state": "TIMEOUT", "exit_status": 0}], 1),
        ([{"state": "ERROR", "exit_status": 7}, {"state": "ERROR", "exit_status": 7}], 1),
    ],
)
def test_pass_exit_is_the_commands_own_on_one_host(
    master: ScriptedMaster, cli: Cli, tasks: list[dict[str, Any]], code: int
) -> None:
    ends(master, "OK" if code == 0 else "ERROR", *tasks)
    assert cli("run", "-t", "1:1", "--pass-exit", "x").exit_code == code
