"""Thousands of requests made from the API's own description: none makes the master stumble (RELIABILITY P9)."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import Fleet
from support.wait import until

CONFIG = Path(__file__).parents[1] / "data" / "schemathesis.toml"
EXAMPLES = 100
FOLLOWING = 20
"""So many at the least follow from others, whatever ids the master has made."""


@pytest.mark.long
def test_requests_made_from_the_description_are_answered_as_it_says(running: Fleet, tmp_path: Path) -> None:
    running.agents[1].stop()  # what is made up must not run anywhere
    made = _ask(running, tmp_path, f"{running.url}/api/v1/openapi.json", "examples,coverage,fuzzing")
    assert made > EXAMPLES * 20
    _require_health(running)


@pytest.mark.long
def test_requests_that_follow_from_each_other_are_answered_as_they_should_be(running: Fleet, tmp_path: Path) -> None:
    """Without keys: a POST with a key that was used is answered by a thing that may be gone since.

    Without the revoking of agents: they stay, with their number and their state, and so does what is known of them.
    """
    running.agents[1].stop()
    status, document = running.ask("GET", "/api/v1/openapi.json")
    assert status == 200
    del document["paths"]["/api/v1/agents/{agent}"]["delete"]
    for path in document["paths"].values():
        for operation in path.values():
            others = [one for one in operation.get("parameters", []) if one["name"] != "Idempotency-Key"]
            operation["parameters"] = others
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(document))
    assert _ask(running, tmp_path, str(description), "stateful", "--url", running.url) > FOLLOWING
    _require_health(running)


def _ask(running: Fleet, folder: Path, description: str, phases: str, *more: str) -> int:
    """Make requests; how many, all of which were answered as they should be."""
    token = (running.data / "admin-token").read_text().strip()
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(CONFIG), "run", description, "--phases", phases, *more),
        *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--max-examples", str(EXAMPLES)),
        *("--generation-deterministic", "--workers", "1", "--no-color", "--no-shrink"),
    ]
    report = folder / "report"
    with report.open("wb") as out:
        run = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        until(lambda: _has_ended(run, running), deadline_s=900, every_s=0.2, what="schemathesis")
    text = report.read_text()
    assert run.returncode == 0, text[-6000:]
    counted = re.search(r"(\d+) generated, (\d+) passed", text)
    assert counted is not None, text[-2000:]
    assert int(counted[1]) == int(counted[2])
    return int(counted[1])


def _require_health(running: Fleet) -> None:
    log = running.master.text()
    assert "Traceback" not in log
    assert "CRITICAL" not in log.upper()


def _has_ended(run: "subprocess.Popen[bytes]", fleet: Fleet) -> bool:
    """The master answers all the while."""
    assert fleet.ask("GET", "/livez", deadline_s=10)[0] == 200
    return run.poll() is not None
