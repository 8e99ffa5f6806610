"""Requests made from the API's description, right and wrong ones: each is answered as it is described, none fails."""

import json
import subprocess
import sys
from pathlib import Path

from support.programs import Fleet

EXAMPLES = 100
CONFIGURATION = """
[checks.positive_data_acceptance]
# Cursors and targets are opaque texts of ours: what only looks like one is 400 or 422.
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422", "429"]

[checks.use_after_free]
# DELETE of a job ends it; its record stays for its retention.
enabled = false
"""


def test_all_checks_hold_for_a_hundred_examples_of_each_operation(running: Fleet, tmp_path: Path) -> None:
    running.submit("a", "/bin/echo", "hi", wait_s=30)
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(CONFIGURATION)
    token = (running.data / "admin-token").read_text().strip()
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--checks=all", f"--max-examples={EXAMPLES}", "--no-color", "--seed=1", "--suppress-health-check=all"]
    header = ["-H", f"Authorization: Bearer {token}"]
    command = [str(program), f"--config-file={settings}", "run", f"{running.url}/api/v1/openapi.json"]
    done = subprocess.run([*command, *header, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert running.ask("GET", "/livez")[0] == 200
    log = running.master.text()
    assert "Traceback" not in log
    assert "#error" not in log
    document = running.ask("GET", "/api/v1/openapi.json")[1]
    assert len(json.dumps(document)) > 1000
