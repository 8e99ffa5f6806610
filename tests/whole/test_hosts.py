"""The real programs: what an agent's host is, is shown soon after it has started."""

import platform
import socket
from pathlib import Path
from typing import Any

import psutil

from support.programs import fleet
from support.wait import until


def test_a_started_agents_host_is_shown_with_its_cores_and_memory(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.start_master()
        made.start_agent()

        def described() -> Any:
            (host,) = made.ask("GET", "/api/v1/hosts")[1]["items"]
            return host if host["versions"]["count"] else None

        host = until(described, what="the facts of the host")
        assert (host["id"], host["name"], host["os"]) == ("1:1", socket.gethostname(), platform.system().lower())
        assert host["cores"] == (psutil.cpu_count(logical=False) or psutil.cpu_count())
        assert host["memory"] == round(psutil.virtual_memory().total / 1e9, 2)
        (agent,) = made.ask("GET", "/api/v1/agents")[1]["items"]
        status, shown = made.ask("GET", agent["host"]["href"])
        assert (status, shown["cpu"]) == (200, shown["facts"]["current"]["cpu"]["model"])
        assert made.ask("GET", shown["facts"]["href"])[1]["cpu"]["logical"] == psutil.cpu_count()
        (version,) = made.ask("GET", shown["versions"]["href"])[1]["items"]
        assert (version["n"], version["changes"]) == (1, [])
        assert made.agents[1].stop() == 0
        assert "Traceback" not in made.agents[1].text()


def test_what_an_agents_file_declares_is_shown_and_changed_for_its_host(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('roles = ["web"]\nlabels = {owner = "eve"}\nrack = "r1"\n')
    with fleet(tmp_path) as made:
        made.start_master()
        made.start_agent(1, "--config", str(config))
        assert made.ask("PATCH", "/api/v1/hosts/1:1", {"rack": "r2", "labels": {"tier": "1"}})[0] == 200
        made.agents[1].stop()
        made.start_agent(1, "--config", str(config))
        shown = made.ask("GET", "/api/v1/agents/1:1")[1]
        assert (shown["roles"], shown["rack"]) == (["web"], "r2")
        assert shown["labels"] == {"owner": "eve", "tier": "1"}
        assert shown["declared"] == {"roles": ["web"], "labels": {"owner": "eve"}, "rack": "r1", "max_jobs": 1000}
