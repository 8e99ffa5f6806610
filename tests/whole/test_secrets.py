"""Nothing that opens anything lies in plain text in what a master and an agent keep and log (RELIABILITY R9)."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from support.canaries import require_silence
from support.programs import Fleet

PASSWORD = "CANARY-a-long-password"
SHOWN_BY_DESIGN = {"admin-token", "join-token"}


def log_in(running: Fleet) -> tuple[str, Any]:
    """The session's secret and what the log-in answers."""
    body = json.dumps({"user": "eve", "password": PASSWORD}).encode()
    url = f"{running.url}/api/v1/session"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310 (ours)
    with urllib.request.urlopen(request) as answer:  # noqa: S310 (ours)
        cookie = answer.headers["Set-Cookie"]
        return cookie.partition("=")[2].partition(";")[0], json.load(answer)


def files(folder: Path) -> dict[Path, bytes]:
    every = (path for path in folder.rglob("*") if path.is_file() and path.name not in SHOWN_BY_DESIGN)
    return {path: path.read_bytes() for path in every}


def test_no_secret_that_was_given_out_lies_in_a_file(running: Fleet) -> None:
    assert running.ask("POST", "/api/v1/users", {"name": "eve", "role": "operator"})[0] == 201
    assert running.ask("PUT", "/api/v1/users/eve/password", {"password": PASSWORD})[0] == 200
    token = running.ask("POST", "/api/v1/tokens", {"name": "n", "user": "eve"})[1]["token"]
    join = running.ask("POST", "/api/v1/join-tokens", {"name": "n"})[1]["token"]
    session, login = log_in(running)
    given = {path.name: path.read_text().strip() for path in running.data.iterdir() if path.name in SHOWN_BY_DESIGN}
    assert set(given) == SHOWN_BY_DESIGN
    secrets = [one.rpartition("_")[2] for one in (token, join, *given.values())]
    secrets += [PASSWORD, session, login["csrf_token"]]
    running.submit("a", "/bin/echo", "hi", wait_s=30)
    running.stop()
    kept = files(running.folder)
    assert any(b"$argon2id$" in content for content in kept.values())
    found = [path.name for path, content in kept.items() if any(one.encode() in content for one in secrets)]
    assert found == []


def test_what_a_job_is_given_is_in_no_log_and_not_in_the_audit_log(running: Fleet) -> None:
    """Its arguments, its data and its environment often hold passwords; they are kept, as long as the job is."""
    running.submit(
        "a",
        "/bin/sh",
        "-c",
        "cat >/dev/null; exit 3 # CANARY-argument",
        wait_s=30,
        env={"PASSWORD": "CANARY-environment"},
        name="CANARY-name",
    )
    body = {"cmd": "execute", "target": "1:1", "data": "CANARY-data", "args": {"cmd": "/CANARY-missing"}}
    assert running.ask("POST", "/api/v1/jobs?wait=30", body)[1]["state"] == "ERROR"
    wrong = {"cmd": "execute", "target": "1:1", "args": {"cmd": ["CANARY-wrong"]}, "CANARY-field": 1}
    assert running.ask("POST", "/api/v1/jobs", wrong)[0] == 422
    assert running.ask("GET", "/api/v1/jobs/CANARY-job?CANARY-query=1")[0] in {400, 404}
    status, audit = running.ask("GET", "/api/v1/audit?limit=1000")
    assert (status, len(audit["items"]) > 1) == (200, True)
    told = json.dumps([one for one in audit["items"] if "CANARY-job" not in one["object"]])
    assert "CANARY-" not in told
    running.stop()
    logs = sorted(running.folder.glob("*.log"))
    assert len(logs) == 2
    require_silence(logs)
