"""Thousands of requests made from the API's own description: none makes the master stumble (RELIABILITY P9)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import Fleet
from support.wait import until

CONFIG = Path(__file__).parents[1] / "data" / "schemathesis.toml"
EXAMPLES = 100


@pytest.mark.long
def test_requests_made_from_the_description_are_answered_as_it_says(running: Fleet, tmp_path: Path) -> None:
    running.agents[1].stop()  # what is made up must not run anywhere
    token = (running.data / "admin-token").read_text().strip()
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(CONFIG), "run", f"{running.url}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--max-examples", str(EXAMPLES)),
        *("--generation-deterministic", "--workers", "1", "--no-color", "--no-shrink"),
    ]
    report = tmp_path / "report"
    with report.open("wb") as out:
        run = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT)
        until(lambda: _has_ended(run, running), deadline_s=900, every_s=0.2, what="schemathesis")
    text = report.read_text()
    assert run.returncode == 0, text[-6000:]
    counted = re.search(r"(\d+) generated, (\d+) passed", text)
    assert counted is not None, text[-2000:]
    assert int(counted[1]) == int(counted[2]) > EXAMPLES * 20
    log = running.master.text()
    assert "Traceback" not in log
    assert "CRITICAL" not in log.upper()


def _has_ended(run: "subprocess.Popen[bytes]", fleet: Fleet) -> bool:
    """The master answers all the while."""
    assert fleet.ask("GET", "/livez", deadline_s=10)[0] == 200
    return run.poll() is not None
