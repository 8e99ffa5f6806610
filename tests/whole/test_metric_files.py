"""The real programs: numbers of hosts, jobs and the master itself end in files, or in InfluxDB, and are kept by one."""

import shutil
from pathlib import Path

import pytest
import whisper  # type: ignore[import-untyped]

from support.influx import running_influx
from support.masters import Masters
from support.programs import Fleet
from support.wait import until


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
            masters.start_agent(1, masters.urls[2])
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
