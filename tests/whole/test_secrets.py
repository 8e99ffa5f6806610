"""Nothing that opens anything lies in plain text in what a master and an agent keep and log (RELIABILITY R9)."""

import json
import urllib.request
from pathlib import Path
from typing import Any

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
