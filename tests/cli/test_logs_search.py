"""`deployer logs` without ids: messages of all hosts."""

import json
import re
from typing import Any

from support.cli import Cli
from support.scripted import ScriptedMaster, answer, stream

MESSAGE: dict[str, Any] = {
    "agent": "1:1",
    "host": "web1",
    "job": "j1",
    "jobdomain": "web",
    "jobname": "nginx",
    "epoch": 1,
    "at": "2026-11-28T01:02:03.456Z",
    "level": 8,
    "data": "disk\x1b[2J is\nfull",
}
SYSLOG = {**MESSAGE, "agent": None, "host": "gate", "job": None, "jobdomain": "syslog", "jobname": "", "level": 1}


def page(*items: object, following: str | None = None) -> Any:
    return answer({"items": items, "next": following, "left_out": 0})


def test_the_newest_are_shown_in_the_order_in_which_they_came(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page(MESSAGE, SYSLOG))
    first, second = cli("logs").stdout.splitlines()
    assert first == "2026-11-28T01:02:03.456Z  gate  syslog/-  disk\\x1b[2J is\\x0afull"
    assert second == "2026-11-28T01:02:03.456Z  web1  web/nginx  error: disk\\x1b[2J is\\x0afull"
    assert master.methods() == ["GET /api/v1/logs?limit=100"]


def test_what_is_asked_for_is_what_the_master_is_asked(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page(MESSAGE))
    options = ["-H", "web1", "-d", "web", "-n", "nginx", "-l", "Warning-9", "-g", "disk full", "--limit", "5"]
    assert cli("logs", *options).exit_code == 0
    asked = "host=web1&domain=web&name=nginx&level=7-9&text=disk+full&limit=5"
    assert master.methods() == [f"GET /api/v1/logs?{asked}"]


def test_from_a_time_on_all_are_shown(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page(SYSLOG, following="5-0.0.00000000"), page(MESSAGE))
    lines = [json.loads(line) for line in cli("logs", "--from", "-15m", "--ndjson").stdout.splitlines()]
    assert lines == [SYSLOG, MESSAGE]
    assert re.search(r"from=20[0-9T%.:A-Z-]+Z&order=asc", master.methods()[0])
    assert "cursor=5-0.0.00000000" in master.methods()[1]


def test_json_is_one_document(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page(MESSAGE, SYSLOG))
    assert json.loads(cli("logs", "--json").stdout) == {"items": [SYSLOG, MESSAGE]}


def test_logs_are_followed_and_what_was_dropped_is_said(master: ScriptedMaster, cli: Cli) -> None:
    told = [f"id: {n}-0.0.00000000\ndata: {json.dumps({**MESSAGE, 'data': f'line {n}'})}\n\n" for n in (1, 2)]
    dropped = 'event: dropped\ndata: {"count":7}\n\n'
    gone = answer({"title": "gone"}, 404)
    master.on("GET /api/v1/logs", page(MESSAGE), stream(told[0], dropped, told[1], lost=True), gone)
    shown = cli("logs", "-f", "-l", "8")
    lines = [line.rpartition("  ")[2] for line in shown.stdout.splitlines()]
    assert lines[1:] == ["error: line 1", "error: line 2"]
    assert "7 messages were dropped here" in shown.stderr
    assert shown.exit_code == 4
    last = {name.lower(): its for name, its in master.asked[2].headers.items()}
    assert last["last-event-id"] == "2-0.0.00000000"


def test_what_contradicts_itself_is_a_matter_of_usage(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page())
    assert cli("logs", "-f", "--from", "-1h").exit_code == 2
    assert cli("logs", "j1", "--host", "web1").exit_code == 2
    assert cli("logs", "--limit", "0").exit_code == 2
    assert cli("logs").stdout == ""


def test_from_a_time_on_the_newest_are_shown_when_only_so_many_are_wanted(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page(MESSAGE, SYSLOG))
    assert len(cli("logs", "--from", "-15m", "--limit", "2").stdout.splitlines()) == 2
    assert "order" not in master.methods()[0]
    assert cli("logs", "--from", "last week").exit_code == 2


def test_the_job_and_its_agent_are_said_where_they_are_asked_for(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page(MESSAGE))
    master.on("GET /api/v1/jobs/0123456789", answer({"id": "0123456789", "state": "OK"}))
    shown = cli("logs", "-j", "--job", "0123456789").stdout
    assert shown.startswith("2026-11-28T01:02:03.456Z  web1  1:1  j1  web/nginx")
    assert "job=0123456789" in master.methods()[-1]


def test_where_there_is_nothing_that_is_said(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/logs", page())
    assert "no messages" in cli("logs").stderr
    assert cli("logs", "-q").stderr == ""
    assert json.loads(cli("logs", "--json").stdout) == {"items": []}
