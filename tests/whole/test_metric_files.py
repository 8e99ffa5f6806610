"""The real programs: numbers of hosts, jobs and the master itself end in files, or in InfluxDB, and are kept by one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import whisper  # type: ignore[import-untyped]

from support.influx import running_influx
from support.masters import Masters
from support.programs import Fleet, fleet
from support.wait import until

MASTER = 'storage_schemas = [{ pattern = ".", retentions = "1s:1h,30s:1d" }]\n'
"""Whatever comes is stored each second."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    files = {"master.toml": MASTER, "agent.toml": "stats_interval = 1\n"}
    for name, text in files.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    with fleet(tmp_path) as made:
        made.start_master(f"--config={tmp_path / 'master.toml'}")
        made.start_agent(1, "--config", str(tmp_path / "agent.toml"))
        yield made


def test_numbers_of_hosts_and_of_the_master_end_in_files(running: Fleet) -> None:
    (company,) = until(lambda: list((running.folder / "master" / "metrics").glob("*")), what="numbers", deadline_s=120)
    for pattern in (
        "agents/1/1/host/cpu/total.wsp",
        "agents/1/1/jobs/deployer/agent/rss.wsp",
        "masters/*/requests.wsp",
    ):
        until(lambda pattern=pattern: list(company.glob(pattern)), what=pattern, deadline_s=120)  # type: ignore[misc]
    modes = {path.stat().st_mode & 0o777 for path in company.rglob("*.wsp")}
    assert modes == {0o600}


def test_a_second_master_beside_one_with_files_is_not_ready_and_says_why(tmp_path: Path) -> None:
    masters = Masters(tmp_path)
    masters.start_redis()
    try:
        first = masters.start(1, DEPLOYER_METRICS="whisper")
        with pytest.raises(AssertionError, match="the master to be ready"):
            masters.start(2, ready_s=3.0, DEPLOYER_METRICS="whisper")
        assert "set `metrics`" in masters.health(2)["status"]
        first.stop()
        until(lambda: masters.is_ready(2), what="the second master, now alone")
    finally:
        masters.stop()


@pytest.mark.skipif(shutil.which("influxd") is None, reason="influxd is not installed: apt install influxdb")
def test_several_masters_keep_numbers_in_one_influxdb(tmp_path: Path) -> None:
    with running_influx() as influx:
        influx.ask("CREATE DATABASE deployer")
        masters = Masters(tmp_path)
        masters.start_redis()
        try:
            for number in (1, 2):
                masters.start(number, DEPLOYER_METRICS=f"influxdb://127.0.0.1:{influx.port}/deployer")
            settings = tmp_path / "agent.toml"
            settings.touch(mode=0o600)
            settings.write_text("stats_interval = 1\n")
            masters.start_agent(1, masters.urls[2], "--config", str(settings))
            query = 'SELECT last("value") FROM deployer.autogen."agents.1.1.host.cpu.total"'
            until(lambda: b'"values"' in influx.ask(query), what="numbers in InfluxDB", deadline_s=120)
        finally:
            masters.stop()


def test_messages_are_counted_by_their_level(running: Fleet) -> None:
    assert running.submit("loud", "/bin/sh", "-c", "for n in 1 2 3; do echo 9::bad; done", wait_s=30)["state"] == "OK"
    pattern = "metrics/*/agents/1/1/messages/9.wsp"
    (file,) = until(lambda: list((running.folder / "master").glob(pattern)), what="the count", deadline_s=120)

    def total() -> float:
        _, values = whisper.fetch(str(file), 0)
        return sum(value for value in values if value is not None)

    until(lambda: total() == 3.0, what="all three", deadline_s=60)
