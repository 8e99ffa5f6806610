"""What docs/operations.md tells to do is done here, with its own commands."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from deployer.tap import Options
from support.programs import ROOT, Fleet
from support.wait import until


def told(heading: str) -> list[str]:
    """The commands of a section of the page, without those of systemd."""
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (.+)$", section, re.MULTILINE)
    return [line for line in lines if not line.startswith("systemctl")]


def do(commands: list[str], running: Fleet, folder: Path) -> None:
    for command in commands:
        here = command.replace("/var/lib/deployer-master", str(running.data)).replace(
            "backup.tar.gz", f"{folder}/b.tgz"
        )
        subprocess.run(here, shell=True, check=True, cwd=folder)  # noqa: S602 (our own page)


def test_a_master_that_is_restored_from_its_backup_knows_all_that_was_in_it(running: Fleet, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    running.submit("ran", "/bin/sh", "-c", f"echo ran >> {marks}; echo 20::1", wait_s=30)
    running.agents[1].stop()
    running.submit("waits", "/bin/sh", "-c", f"echo waits >> {marks}")
    running.master.stop()
    backup = told("Backup")
    assert backup, "the page says no command"
    do(backup, running, tmp_path)
    running.start_master()
    running.submit("lost", "/bin/true")
    running.master.stop()
    shutil.rmtree(running.data)
    do(told("Restore"), running, tmp_path)
    running.start_master()
    assert running.job("ran")["state"] == "OK"
    assert running.task("ran")["data"] == "1"
    assert running.job("waits")["state"] == "QUEUED"
    assert running.ask("GET", "/api/v1/jobs/lost")[0] == 404
    running.agents[1].start()
    assert running.job("waits", 60)["state"] == "OK"
    assert marks.read_text().split() == ["ran", "waits"]


def test_a_restored_queue_runs_nothing_again_that_an_agent_has_run(running: Fleet, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    running.agents[1].stop()
    running.submit("twice", "/bin/sh", "-c", f"echo twice >> {marks}; echo 20::7")
    running.master.stop()
    do(told("Backup"), running, tmp_path)
    running.start_master()
    running.agents[1].start()
    assert running.job("twice", 60)["state"] == "OK"
    running.agents[1].stop()
    running.master.stop()
    shutil.rmtree(running.data)
    do(told("Restore"), running, tmp_path)
    running.start_master()
    assert running.job("twice")["state"] == "QUEUED"
    running.agents[1].start()
    until(lambda: running.job("twice", 5)["state"] == "OK", what="the result that the agent knows")
    assert running.task("twice")["data"] == "7"
    assert marks.read_text().split() == ["twice"]


def test_the_compose_file_starts_masters_with_options_that_there_are() -> None:
    services: dict[str, Any] = yaml.safe_load((ROOT / "etc" / "compose.yaml").read_text())["services"]
    masters = [service for name, service in services.items() if name.startswith("master")]
    assert len(masters) == 2
    known = set(re.findall(r"--[a-z-]+", Options().getUsage()))
    for service in masters:
        assert set(re.findall(r"--[a-z-]+", service["command"])) <= known
    for mount in (mount for service in services.values() for mount in service.get("volumes", ())):
        source = mount.partition(":")[0]
        assert not source.startswith("./") or (ROOT / "etc" / source).exists()
