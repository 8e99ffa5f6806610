"""`deployer metrics`."""

import json
from typing import Any

from deployer.cli.trend import trend
from support.cli import Cli
from support.scripted import ScriptedMaster, answer, refusal

CPU: dict[str, Any] = {"target": "a.*", "name": "a.cpu", "tags": {}, "step": 30, "values": [1, None, 3, 8]}
NOTHING: dict[str, Any] = {**CPU, "name": "a.none", "values": [None, None]}
FOUND = [{"path": "agents", "series": False, "more": True}, {"path": "cpu", "series": True, "more": False}]
ASKED = "GET /api/v1/metrics?target=a.%2A&from=-1h&to=now&points=300"


def test_series_are_shown_with_their_figures(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/metrics", answer({"from": "x", "to": "y", "items": [CPU, NOTHING]}))
    first, second = cli("metrics", "query", "a.*").stdout.splitlines()
    assert first.split("\t") == ["a.cpu", "8", "1", "4", "8", "▁ ▃█"]
    assert second.split("\t")[:2] == ["a.none", ""]
    assert master.methods() == [ASKED]
    assert cli("metrics", "query", "a.*", "-q").stdout == "a.cpu\na.none\n"
    assert json.loads(cli("metrics", "query", "a.*", "--json").stdout)["items"] == [CPU, NOTHING]
    assert [json.loads(one) for one in cli("metrics", "query", "a.*", "--ndjson").stdout.splitlines()] == [CPU, NOTHING]


def test_time_and_groups_are_asked_for(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/metrics", answer({"items": []}))
    cli("metrics", "query", "a", "b(c)", "--from", "-6h", "--points", "5", "--group-by", "rack", "--how", "max")
    asked = "target=a&target=b%28c%29&from=-6h&to=now&points=5&group_by=rack&how=max"
    assert master.methods() == [f"GET /api/v1/metrics?{asked}"]


def test_what_fits_a_pattern_is_listed(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/metrics/find", answer({"items": FOUND, "next": None}))
    assert cli("metrics", "find").stdout == "agents\tmore below\ncpu\tseries\n"
    assert cli("metrics", "find", "*", "-q").stdout == "agents\ncpu\n"
    assert json.loads(cli("metrics", "find", "--json").stdout) == {"items": FOUND}
    assert len(cli("metrics", "find", "--ndjson").stdout.splitlines()) == 2


def test_what_the_master_says_of_a_target_is_told(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/metrics", refusal(400, "malformed", "in the target, at character 3: no"))
    done = cli("metrics", "query", "a(")
    assert done.exit_code in {1, 2}
    assert "at character 3" in done.stderr
    assert cli("metrics", "query").exit_code == 2


def test_a_trend_is_as_long_as_there_is_room() -> None:
    assert trend([], 5) == ""
    assert trend([None, None], 5) == "  "
    assert trend([2.0, 2.0], 5) == "▁▁"
    assert trend([float(one) for one in range(800)], 8) == "▁▂▃▄▅▆▇█"
    assert trend([0.0, None, 7.0], 3) == "▁ █"
