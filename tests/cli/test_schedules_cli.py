"""`deployer schedules`: what is asked of the master, and what a person sees."""

import json
from typing import Any

import pytest

from support.cli import Cli
from support.scripted import ScriptedMaster, answer, refusal

ID = "0" * 32
PATH = f"/api/v1/schedules/{ID}"
JOB = {"cmd": "execute", "args": {"cmd": "/bin/backup", "args": ["--all"]}, "target": "role=db"}
FIRED = {"outcome": "fired", "at": "2026-11-27T01:30:00.000Z", "job": {"id": "j1"}, "count": 1, "reason": None}
ONE: dict[str, Any] = {
    "id": ID,
    "name": "nightly",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "every_s": None,
    "paused": False,
    "next": "2026-11-28T01:30:00.000Z",
    "next_firings": ["2026-11-28T01:30:00.000Z", "2026-11-29T01:30:00.000Z"],
    "last": FIRED,
    "counts": {"fired": 7},
    "job": JOB,
    "firings": {"href": f"{PATH}/firings"},
}


@pytest.fixture(autouse=True)
def scripted(master: ScriptedMaster) -> None:
    master.on("GET /api/v1/schedules", answer({"items": [ONE], "next": None}))
    master.on(f"GET {PATH}", answer(ONE))


def test_schedules_are_listed_between_tabs(master: ScriptedMaster, cli: Cli) -> None:
    other = {"name": "often", "cron": None, "every_s": 60, "paused": True, "job": {"cmd": "ping", "target": "1:1"}}
    master.on("GET /api/v1/schedules", answer({"items": [ONE, other], "next": None}))
    for arguments in (["schedules"], ["schedules", "list"]):
        first, second = cli(*arguments).stdout.splitlines()
        assert first.split("\t") == [
            "nightly",
            "30 2 * * * Europe/Berlin",
            "2026-11-28T01:30:00.000Z",
            "fired",
            "7",
            "role=db",
            "/bin/backup --all",
        ]
        assert second.split("\t") == ["often", "every 60 s", "paused", "", "", "1:1", "ping"]
    assert cli("schedules", "list", "-q").stdout == "nightly\noften\n"
    assert json.loads(cli("schedules", "list", "--json").stdout)["items"] == [ONE, other]


def test_a_schedule_is_made_of_a_command_line(master: ScriptedMaster, cli: Cli) -> None:
    master.on("POST /api/v1/schedules", answer(ONE, 201))
    timing = ["--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--jitter", "5m", "--overlap", "queue"]
    process = ["--max-time", "60", "--name", "b", "--env", "A=1", "--fanout", "2"]
    made = cli("schedules", "add", "nightly", *timing, *process, "-t", "role=db", "--", "/bin/backup", "--all")
    assert (made.exit_code, made.stdout) == (0, "")
    assert made.stderr == "deployer: schedule nightly is made; it fires next at 2026-11-28T01:30:00.000Z\n"
    assert master.asked[-1].body == {
        "name": "nightly",
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "jitter_s": 300,
        "overlap": "queue",
        "job": {
            "cmd": "execute",
            "args": {"cmd": "/bin/backup", "args": ["--all"], "max_time": 60, "name": "b", "env": {"A": "1"}},
            "target": "role=db",
            "fanout": 2,
        },
    }


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400)])
def test_a_period_is_seconds_or_has_a_unit(master: ScriptedMaster, cli: Cli, text: str, seconds: int) -> None:
    master.on("POST /api/v1/schedules", answer(ONE, 201))
    done = cli("schedules", "add", "n", "--every", text, "--paused", "-t", "1:1", "--data-file", "-", "cat", input="in")
    assert done.exit_code == 0, done.output
    body = master.asked[-1].body
    assert (body["every_s"], body["paused"], body["job"]["data"]) == (seconds, True, "in")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-t", "1:1", "true"],
        ["--cron", "@daily", "--every", "5", "-t", "1:1", "true"],
        ["--every", "5 minutes", "-t", "1:1", "true"],
        ["--every", "-5", "-t", "1:1", "true"],
        ["--every", "5", "true"],
        ["--every", "5", "-t", "1:1"],
        ["--every", "5", "-t", "1:1", "--overlap", "both", "true"],
    ],
)
def test_what_says_not_when_or_what_is_wrong_usage(master: ScriptedMaster, cli: Cli, arguments: list[str]) -> None:
    assert cli("schedules", "add", "n", *arguments).exit_code == 2
    assert master.asked == []


def test_a_schedule_is_shown_with_its_next_and_its_last_firings(master: ScriptedMaster, cli: Cli) -> None:
    missed = {"outcome": "missed", "at": "2026-11-25T01:30:00.000Z", "until": "2026-11-26T01:30:00.000Z", "count": 2}
    refused = {"outcome": "refused", "at": None, "told": "2026-11-27T09:00:00.000Z", "count": 1, "reason": "no\tagent"}
    master.on(f"GET {PATH}/firings", answer({"items": [FIRED, missed, refused], "next": None}))
    shown = cli("schedules", "show", "nightly")
    assert [line.split("\t") for line in shown.stdout.splitlines()[1:]] == [
        ["2026-11-28T01:30:00.000Z"],
        ["2026-11-29T01:30:00.000Z"],
        ["2026-11-27T01:30:00.000Z", "fired", "j1", ""],
        ["2026-11-25T01:30:00.000Z", "missed", "", "2 times, until 2026-11-26T01:30:00.000Z"],
        ["2026-11-27T09:00:00.000Z", "refused", "", "no\\x09agent"],
    ]
    assert json.loads(cli("schedules", "show", "nightly", "--json").stdout)["firings"]["items"][1] == missed
    assert "GET /api/v1/schedules?name=nightly" in master.methods()[0]


def test_a_schedule_is_paused_resumed_run_and_removed_by_its_name(master: ScriptedMaster, cli: Cli) -> None:
    master.on(f"PATCH {PATH}", answer(ONE))
    master.on(f"POST {PATH}/run", answer({"id": "j9"}, 202))
    master.on(f"DELETE {PATH}", answer({"id": ID}))
    assert cli("schedules", "pause", "nightly").stderr == "deployer: schedule nightly is paused\n"
    assert master.asked[-1].body == {"paused": True}
    assert cli("schedules", "resume", "nightly", "-q").output == ""
    assert master.asked[-1].body == {"paused": False}
    assert cli("schedules", "run", "nightly").stdout == "j9\n"
    assert cli("schedules", "rm", "nightly").stderr == "deployer: schedule nightly is removed\n"


def test_what_is_not_there_and_what_is_refused_have_their_exit_codes(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/schedules", answer({"items": [], "next": None}))
    for name in ("none", "x" * 100, ".."):
        assert cli("schedules", "show", name).exit_code == 4
    pointed = [{"pointer": "/cron", "message": "it would never fire"}]
    master.on("POST /api/v1/schedules", refusal(422, "invalid", "it would never fire", pointed))
    refused = cli("schedules", "add", "n", "--cron", "0 0 30 2 *", "-t", "1:1", "true")
    assert refused.exit_code != 0
    assert "it would never fire" in refused.stderr


def test_the_job_of_a_schedule_has_the_options_of_a_job(master: ScriptedMaster, cli: Cli) -> None:
    master.on("POST /api/v1/schedules", answer(ONE, 201))
    options = ["--rolling", "1", "--max-failures", "2", "--priority", "5", "--requires", "ram=1G", "--away", "skip"]
    done = cli("schedules", "add", "n", "--every", "1d", *options, "--batch", "1-3", "-t", "*", "x", "$item")
    assert done.exit_code == 0, done.output
    job = master.asked[-1].body["job"]
    assert {name: value for name, value in job.items() if name not in {"cmd", "args", "target"}} == {
        "rolling": {"size": 1, "max_failures": 2},
        "priority": 5,
        "requires": {"ram": 1024**3},
        "away": "skip",
        "batch": {"from": 1, "to": 3},
    }
    for once in ("--depends-on", "--not-after"):
        assert cli("schedules", "add", "n", "--every", "1d", once, "1d", "-t", "*", "x").exit_code == 2


def test_what_is_named_of_a_schedule_is_changed(master: ScriptedMaster, cli: Cli) -> None:
    master.on(f"PATCH {PATH}", answer(ONE))
    done = cli("schedules", "set", "nightly", "--every", "2h", "--overlap", "skip", "--rename", "often")
    assert done.stderr == "deployer: schedule often is changed; it fires next at 2026-11-28T01:30:00.000Z\n"
    assert master.asked[-1].body == {"name": "often", "every_s": 7200, "overlap": "skip"}
    asked = len(master.asked)
    for wrong in ([], ["--every", "1", "--cron", "@daily"], ["--every", "x"]):
        assert cli("schedules", "set", "nightly", *wrong).exit_code == 2
    assert len(master.asked) == asked
