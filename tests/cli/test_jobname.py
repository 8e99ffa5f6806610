"""Which job a word means: an id, the beginning of one, or `@last`."""

from typing import Any

import pytest

from support.cli import Cli
from support.scripted import ScriptedMaster, answer, refusal

FIRST, SECOND = "01a222d2b6897" + "0" * 19, "01a222d2c0000" + "0" * 19
COMMANDS = (["job"], ["log"], ["logs"], ["cancel"], ["kill"], ["rerun", "--no-wait"])


def job(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "state": "OK", "cmd": "ping", "target": "1:1", "tasks": {"counts": {}}}


@pytest.fixture(autouse=True)
def scripted(master: ScriptedMaster) -> None:
    empty = answer({"items": [], "next": None})
    for one in (FIRST, SECOND):
        master.on(f"GET /api/v1/jobs/{one}", answer(job(one)))
        master.on(f"GET /api/v1/jobs/{one}/tasks", empty)
        master.on(f"GET /api/v1/jobs/{one}/log", empty)
        master.on(f"POST /api/v1/jobs/{one}/rerun", answer(job("again"), 202))
    master.on("GET /api/v1/jobs", answer({"items": [job(SECOND), job(FIRST)], "next": None}))
    master.on("GET /api/v1/user", answer({"user": "eve"}))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_beginning_of_an_id_is_enough(master: ScriptedMaster, cli: Cli, command: list[str]) -> None:
    done = cli(*command, "01a222d2b")
    assert done.exit_code == 0, done.output
    assert any(FIRST in one for one in master.methods())


@pytest.mark.parametrize("command", COMMANDS)
def test_last_is_the_newest_job_of_the_caller(master: ScriptedMaster, cli: Cli, command: list[str]) -> None:
    done = cli(*command, "@last")
    assert done.exit_code == 0, done.output
    asked = [one.path for one in master.asked]
    assert any("user=eve" in path and "limit=1" in path for path in asked)
    assert any(SECOND in path for path in asked)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("01a222d2", "2 jobs begin with '01a222d2': give more of the id"),
        ("01a222ff", "no job has the id '01a222ff', and none of the newest 100 begins so"),
        ("01a22", "There is nothing here."),
    ],
)
def test_what_means_none_or_several_is_not_found(cli: Cli, word: str, why: str) -> None:
    done = cli("job", word)
    assert (done.exit_code, done.stderr) == (4, f"deployer: {why}\n")


def test_a_whole_id_is_not_looked_for_in_the_list(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/jobs", refusal(500, "why", "Not asked."))
    assert cli("job", FIRST).exit_code == 0
    named = "nightly-backup"
    master.on(f"GET /api/v1/jobs/{named}", answer(job(named)))
    master.on(f"GET /api/v1/jobs/{named}/tasks", answer({"items": [], "next": None}))
    assert cli("job", named).exit_code == 0


def test_last_of_nobody_is_not_found(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/jobs", answer({"items": [], "next": None}))
    assert cli("job", "@last").exit_code == 4
