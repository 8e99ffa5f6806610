"""The agent under a service manager: it says that it is ready, alive and stopping, and ends in order."""

import configparser
import socket
from pathlib import Path

import pytest

from deployer.protocol.commands import DEFAULT_GRACE_S
from deployer_agent.config import AgentSettings
from support.programs import ROOT, fleet
from support.wait import until


def test_the_service_manager_is_told_how_the_agent_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, fleet(tmp_path) as made:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)

        def hears(state: str) -> bool:
            while True:
                try:
                    heard.append(listener.recv(100).decode())
                except BlockingIOError:
                    return state in heard

        made.start_master()
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "500000")
        agent = made.start_agent()
        until(lambda: hears("READY=1"), what="READY")
        until(lambda: hears("WATCHDOG=1"), what="the watchdog")
        made.submit("s", "/bin/sleep", "1000")
        until(lambda: made.job("s")["state"] == "RUNNING", what="a job")
        assert agent.stop() == 0
        assert hears("STOPPING=1")
        assert made.job("s", 30)["state"] == "KILLED"


def test_what_runs_may_end_by_itself_for_as_long_as_the_drain_lasts(tmp_path: Path) -> None:
    with fleet(tmp_path) as made:
        made.start_master()
        config = tmp_path / "agent.toml"
        config.write_text("drain_s = 60\n")
        agent = made.start_agent(1, "--config", str(config))
        made.submit("s", "/bin/sleep", "1")
        until(lambda: made.job("s")["state"] == "RUNNING", what="a job")
        assert agent.stop() == 0
        assert made.job("s", 30)["state"] == "OK"


def test_the_unit_leaves_the_agent_the_time_that_it_takes() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are
    unit.read(ROOT / "etc" / "deployer-agent.service")
    service = unit["Service"]
    assert (service["Type"], service["KillMode"], service["Restart"]) == ("notify", "mixed", "always")
    assert service["Delegate"] == "yes"
    assert int(service["WatchdogSec"]) > 0
    defaults = AgentSettings()
    assert int(service["TimeoutStopSec"]) > defaults.drain_s + DEFAULT_GRACE_S + defaults.stop_s
