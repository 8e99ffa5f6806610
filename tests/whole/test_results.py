"""The real programs: what a job prints as its result becomes a value; facts and consumption are jobs like any other."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.programs import Fleet, fleet
from support.wait import until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        made.start_master()
        made.start_agent()
        yield made


def ask(running: Fleet, id_: str, command: str, data: str = "", **args: Any) -> Any:
    """Give a command and wait for it; its task."""
    body = {"cmd": command, "args": args, "data": data, "target": "1:1", "id": id_}
    status, job = running.ask("POST", "/api/v1/jobs?wait=30", body)
    assert status in {200, 202}, job
    return running.task(id_)


@pytest.mark.parametrize(
    ("text", "level", "value"),
    [
        ('20::{"a": [1]}', 20, {"a": [1]}),
        ("21:::a: 1\nb: [x]\n:::", 21, {"a": 1, "b": ["x"]}),
        ("22::a = 1.5", 22, {"a": 1.5}),
        ("23:::a.b = 'x'\nn = 1\n:::", 23, {"a.b": "x", "n": 1}),
        ('30::{"state": "ERROR", "id": "other"}', 30, None),
        ("20::1\n20::2", 20, 2),
    ],
)
def test_the_last_result_message_is_the_tasks_value(running: Fleet, text: str, level: int, value: Any) -> None:
    id_ = f"r{abs(hash(text))}"
    task = ask(running, id_, "execute", cmd="/bin/echo", args=[text])
    assert (task["state"], task["level"], task["result"]) == ("OK", level, value)


def test_a_result_that_is_none_is_an_error_of_a_job_that_ended_well(running: Fleet) -> None:
    task = ask(running, "bad", "execute", cmd="/bin/echo", args=["20::{nonsense"])
    assert (task["state"], task["code"], task["result"]) == ("ERROR", "BAD_RESULT", None)
    assert task["data"] == "{nonsense"
    failed = ask(running, "both", "execute", cmd="/bin/sh", args=["-c", "echo 20::{nonsense; exit 3"])
    assert (failed["state"], failed["code"], failed["exit_status"]) == ("ERROR", "EXIT_STATUS", 3)


def test_the_host_is_described_by_five_commands(running: Fleet) -> None:
    found = {name: ask(running, name, name) for name in ("get_cpu_info", "get_mem_info", "get_disk_info")}
    found |= {name: ask(running, name, name) for name in ("get_nic_info", "get_os_info")}
    assert {task["state"] for task in found.values()} == {"OK"}
    assert all(task["starttime"] for task in found.values())
    assert len(found["get_cpu_info"]["result"]) == os.cpu_count()
    assert found["get_mem_info"]["result"]["total"] > 0
    assert "/" in {disk["mountpoint"] for disk in found["get_disk_info"]["result"]}
    loopback = next(nic for nic in found["get_nic_info"]["result"] if nic["name"] == "lo")
    assert {"addr": "127.0.0.1/8"} in loopback["addrs"]
    assert found["get_os_info"]["result"]["hostname"] == os.uname().nodename


def test_what_processes_consume_is_told_for_one_for_some_and_for_all(running: Fleet) -> None:
    busy = "while :; do :; done"
    running.submit("busy", "/bin/sh", "-c", f"({busy}) & sleep 1000", domain="d", name="n")
    running.submit("calm", "/bin/sleep", "1000", domain="d", name="other")
    until(lambda: running.job("busy")["state"] == running.job("calm")["state"] == "RUNNING", what="two processes")
    one = ask(running, "one", "get_process_stats", json.dumps({"id": "busy"}))["result"]
    assert one["cmd"]["id"] == "busy"
    assert one["processes"] >= 2
    assert one["rss"] > 0
    some = ask(running, "some", "get_processes_stats", json.dumps({"domain": "d", "name": "other"}))["result"]
    assert [stats["cmd"]["id"] for stats in some] == ["calm"]
    everything = ask(running, "every", "get_processes_stats")["result"]
    assert {stats["cmd"]["id"] for stats in everything} == {"busy", "calm", "every"}
    summed = ask(running, "sum", "get_aggregated_stats")["result"]
    assert summed["rss"] > one["rss"]
    assert summed["cmd"] is None
    assert ask(running, "none", "get_process_stats", id="never")["code"] == "NO_SUCH_TASK"
    for job in ("busy", "calm"):
        running.ask("DELETE", f"/api/v1/jobs/{job}")


def test_what_was_said_is_found_on_the_host_and_removed_there(running: Fleet) -> None:
    say = "echo out; echo err >&2; echo 9::bad; echo 5::note; echo 11::debug"
    ask(running, "said", "execute", cmd="/bin/sh", args=["-c", say], domain="found", loglevels_ac="9", loglevels="1-9")
    assert running.lines("said") == ["bad"]
    found = ask(running, "found", "get_msgs", json.dumps({"jobid": "said"}))["result"]
    assert {(item["level"], item["data"]) for item in found["items"]} == {
        (1, "out"),
        (2, "err"),
        (9, "bad"),
        (5, "note"),
    }
    assert {item["domain"] for item in found["items"]} == {"found"}
    assert found["next"] is None
    page = ask(running, "page", "get_msgs", jobid="said", limit=3, order="asc")["result"]
    rest = ask(running, "rest", "get_msgs", jobid="said", order="asc", cursor=page["next"])["result"]
    assert len(page["items"] + rest["items"]) == 4
    ask(running, "unkept", "execute", cmd="/bin/echo", args=["kept"], domain="found", loglevels_db="9")
    assert ask(running, "few", "get_msgs", jobid="unkept")["result"]["items"] == []
    assert ask(running, "del", "del_msgs", domain="found", levels="1-5")["result"] == 3
    assert [item["level"] for item in ask(running, "left", "get_msgs", jobid="said")["result"]["items"]] == [9]


def test_a_log_goes_on_with_the_agent_where_the_masters_share_ends(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        config = tmp_path / "master.toml"
        config.write_text("log_share_bytes = 1000\n")
        made.start_master(f"--config={config}")
        made.start_agent()
        count = "i=0; while [ $i -lt 300 ]; do echo line $i; [ $((i % 50)) = 0 ] && sleep 0.1; i=$((i+1)); done"
        made.submit("much", "/bin/sh", "-c", count, wait_s=60)
        assert made.task("much")["log_dropped"] > 0
        assert made.lines("much") == [f"line {number}" for number in range(300)]
        items = made.ask("GET", "/api/v1/jobs/much/log?limit=1000")[1]
        assert items["next"].startswith("agent.")
        made.agents[1].stop()
        status, problem = made.ask("GET", f"/api/v1/jobs/much/log?cursor={items['next']}")
        assert status == 503
        assert "does not answer" in problem["detail"]
        assert made.ask("GET", "/api/v1/jobs/much/log?cursor=agent.x")[0] == 400


@pytest.mark.parametrize(
    ("args", "pointer"),
    [
        ({"levels": "1) OR 1=1--"}, "/args/levels"),
        ({"timefrom": 5, "timeto": 4}, "/args/timefrom"),
        ({"timefrom": -1}, "/args/timefrom"),
        ({"timeto": "yesterday"}, "/args/timeto"),
        ({"timeto": 1e300}, "/args/timeto"),
        ({"limit": 1001}, "/args/limit"),
        ({"cursor": "-1"}, "/args/cursor"),
        ({"order": "random"}, "/args/order"),
        ({"jobid": "../x"}, "/args/jobid"),
    ],
)
def test_filters_that_do_not_fit_are_refused_at_their_place(running: Fleet, args: dict[str, Any], pointer: str) -> None:
    body = {"cmd": "get_msgs", "args": args, "target": "1:1"}
    status, problem = running.ask("POST", "/api/v1/jobs", body)
    assert (status, problem["errors"][0]["pointer"]) == (422, pointer)


def test_data_that_is_no_object_is_refused(running: Fleet) -> None:
    body = {"cmd": "get_process_stats", "data": "[1]", "target": "1:1"}
    status, problem = running.ask("POST", "/api/v1/jobs", body)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/data")
