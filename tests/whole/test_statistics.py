"""The real programs: what hosts and processes consume and print reaches the master, and waits for it (seed 001)."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.programs import Fleet, fleet
from support.wait import until


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    settings = tmp_path / "agent.toml"
    settings.write_text("stats_interval = 1\n")
    settings.chmod(0o600)
    with fleet(tmp_path) as made:
        made.start_master()
        made.start_agent(1, "--config", str(settings))
        yield made


def values(running: Fleet, domain: str, name: str) -> dict[str, float]:
    """What the processes of this name consume now; empty as long as nothing is known."""
    _, page = running.ask("GET", f"/api/v1/processes?domain={domain}&name={name}")
    return page["items"][0]["values"] if page["items"] else {}


def waiting(running: Fleet) -> int:
    """How many flushes are on the agent's disk."""
    with closing(sqlite3.connect(f"file:{running.agent_data(1)}/statistics.db?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM batch").fetchone()[0])


def test_what_a_job_consumes_and_prints_is_shown_with_all_that_it_started(running: Fleet) -> None:
    burn = "while :; do :; done"
    line = f"echo '10::hits:3|c'; echo 10::not statsd; sh -c '{burn}' & sh -c '{burn}' & echo 20::{{}}; wait"
    running.submit("burn", "/bin/sh", "-c", line, domain="web", name="burn", stats_interval=1)

    def shown() -> dict[str, float]:
        seen = values(running, "web", "burn")
        return seen if seen.get("cpu", 0) > 50 else {}

    seen: dict[str, Any] = until(shown, what="the processes' consumption")
    assert seen["processes"] == 3
    assert 0 < seen["rss"] < 100_000_000
    assert {"threads", "fds", "connections", "net_sent_per_s", "write_bytes_per_s"} <= set(seen)
    status, stats = running.ask("GET", "/api/v1/agents/1:1/stats")
    assert status == 200
    assert stats["host"]["memory.total"] > stats["host"]["memory.used"] > 0
    until(
        lambda: "cpu.total" in running.ask("GET", "/api/v1/agents/1:1/stats")[1]["host"], what="two samples of the host"
    )
    assert {"load.1", "uptime", "processes"} <= set(stats["host"])
    running.ask("DELETE", "/api/v1/jobs/burn")


def test_statistics_wait_for_the_master_and_for_the_next_agent(running: Fleet) -> None:
    until(lambda: running.ask("GET", "/api/v1/agents/1:1/stats")[1]["processes"], what="the first statistics")
    running.master.kill()
    until(lambda: waiting(running) >= 3, what="three flushes on the disk")
    running.agents[1].kill()
    left = waiting(running)
    assert left >= 3
    running.start_master()
    running.agents[1].start()
    until(lambda: waiting(running) <= 1, what="the master to have them")


def test_network_traffic_is_told_of_the_process_that_makes_it(running: Fleet) -> None:
    """50 MB over loopback between two jobs, each counted at its own end."""
    receive = (
        "import socket, time\n"
        "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "c, _ = s.accept(); n = 0\n"
        "while n < 50_000_000: n += len(c.recv(1 << 20))\n"
        "time.sleep(1000)\n"
    )
    running.submit("r", sys.executable, "-c", receive, domain="net", name="r")
    port = until(lambda: running.lines("r"), what="the port")[0]
    send = (
        "import socket, time\n"
        f"s = socket.create_connection(('127.0.0.1', {port}))\n"
        "for _ in range(50): s.sendall(bytes(1_000_000)); time.sleep(0.1)\n"
        "time.sleep(1000)\n"
    )
    running.submit("s", sys.executable, "-c", send, domain="net", name="s")
    until(lambda: values(running, "net", "s").get("net_sent_per_s", 0) > 1_000_000, what="what was sent")
    until(lambda: values(running, "net", "r").get("net_received_per_s", 0) > 1_000_000, what="what was received")
    for job in ("r", "s"):
        running.ask("DELETE", f"/api/v1/jobs/{job}")


def test_a_process_is_shown_while_it_runs_and_after_its_end_and_a_monitor_tells_of_that_end(running: Fleet) -> None:
    threshold = {"metric": "processes", "below": 1, "for_s": 1}
    body = {"name": "sleepers", "agent": "1:1", "processes": [{"job": "s"}], "thresholds": [threshold]}
    running.submit("s", "/bin/sleep", "1000", domain="beds", name="one")
    (one,) = until(lambda: running.ask("GET", "/api/v1/processes?job=s")[1]["items"], what="the process")
    assert psutil.Process(int(one["pid"])).cmdline() == ["/bin/sleep", "1000"]
    status, made = running.ask("POST", "/api/v1/monitors", body)
    assert status == 201

    def consumption() -> Any:
        seen = running.ask("GET", made["consumption"]["href"])[1]
        return seen if "rss" in seen["total"] else None

    seen = until(consumption, what="a sample")
    assert [process["id"] for process in seen["processes"]] == [one["id"]] == ["s@1:1.1"]
    running.ask("DELETE", "/api/v1/jobs/s")

    def told() -> Any:
        (its,) = running.ask("GET", made["href"])[1]["thresholds"]
        return its if its["state"] == "breached" else None

    assert until(told, what="the breach")["told"] is not None
    ended = running.ask("GET", one["href"])[1]
    assert (ended["state"], ended["pid"], ended["signal"]) == ("ended", one["pid"], "SIGTERM")
    assert [process["id"] for process in running.ask("GET", "/api/v1/processes?state=ended")[1]["items"]] == ["s@1:1.1"]


def test_an_interval_that_is_none_is_refused(running: Fleet) -> None:
    job = {"cmd": "execute", "target": "1:1", "args": {"cmd": "/bin/true", "stats_interval": -1}}
    assert running.ask("POST", "/api/v1/jobs", job)[0] == 422
