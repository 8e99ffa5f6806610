"""The real programs: scripts put at the master and of the host's own, exactly as they were signed (seed 001)."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.programs import Fleet, fleet

PYTHON = """
import sys
from deployer_agent.script import data, log, result, stat
log(5, "beginning")
log(3, "two\\nlines")
stat("files", 3)
result({"asked": data(), "args": sys.argv[1:]})
"""
LUA = """
local script = require('deployer_script')
script.log(5, 'beginning')
script.log(3, 'two\\nlines')
script.stat('files', 3)
script.result({ asked = script.data(), list = { 1, 2.5, true, 'a"b' }, args = { arg[1] } })
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    own = folder / "scripts" / "local"
    own.mkdir(parents=True)
    (own / "hello.py").write_text("print('own')\n")
    (own / "long.py").write_text("#" * (512 * 1024 + 1))
    (own / "outside.py").symlink_to("/etc/hostname")
    config = folder / "agent.toml"
    config.write_text(f'scripts_dir = "{folder / "scripts"}"\n')
    with fleet(folder) as made:
        made.start_master()
        made.start_agent(1, "--config", str(config))
        yield made


def put(running: Fleet, path: str, text: bytes, kind: str = "text/plain") -> tuple[int, Any]:
    """Put a script."""
    token = (running.data / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    request = urllib.request.Request(f"{running.url}/api/v1/scripts/{path}", text, headers, method="PUT")  # noqa: S310 (our own master)
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 (our own master)
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def run(running: Fleet, id_: str, command: str, data: str = "", **args: Any) -> Any:
    """Run a script and wait; its task."""
    body = {"cmd": command, "args": args, "data": data, "target": "1:1", "id": id_}
    status, job = running.ask("POST", "/api/v1/jobs?wait=30", body)
    assert status in {200, 202}, job
    return running.task(id_)


def said(running: Fleet, id_: str) -> list[tuple[int, str]]:
    """Levels and texts of a job's log."""
    items = running.ask("GET", f"/api/v1/jobs/{id_}/log")[1]["items"]
    return [(item["level"], item["data"]) for item in items]


def test_a_python_script_is_put_once_and_run_by_its_name(running: Fleet) -> None:
    assert put(running, "demo/files", PYTHON.encode())[0] == 201
    status, summary = put(running, "demo/files", PYTHON.encode())
    assert (status, summary["size"]) == (200, len(PYTHON))
    task = run(running, "py", "execute_js_py", '{"n": 1}', domain="demo", name="files", args=["-x", "$(id)"])
    assert (task["state"], task["result"]) == ("OK", {"asked": {"n": 1}, "args": ["-x", "$(id)"]})
    assert said(running, "py")[:3] == [(5, "beginning"), (3, "two\nlines"), (10, "files:3|c")]
    assert running.job("py")["args"]["sha256"] == summary["sha256"]


def test_a_lua_script_has_the_same_means(running: Fleet) -> None:
    put(running, "demo/lua", LUA.encode())
    task = run(running, "lua", "execute_js_lua", "some data", domain="demo", name="lua", args=["x"])
    assert task["state"] == "OK", task
    assert task["result"] == {"asked": "some data", "list": [1, 2.5, True, 'a"b'], "args": ["x"]}
    assert said(running, "lua")[:3] == [(5, "beginning"), (3, "two\nlines"), (10, "files:3|c")]


def test_what_was_submitted_runs_although_another_version_was_put_since(running: Fleet) -> None:
    first = put(running, "demo/version", b"print('first')")[1]["sha256"]
    second = put(running, "demo/version", b"print('second')")[1]["sha256"]
    assert run(running, "v2", "execute_js_py", domain="demo", name="version")["state"] == "OK"
    run(running, "v1", "execute_js_py", domain="demo", name="version", sha256=first)
    assert [said(running, name) for name in ("v1", "v2")] == [[(1, "first")], [(1, "second")]]
    shown = running.ask("GET", "/api/v1/scripts/demo/version")[1]
    assert (shown["versions"], shown["text"]) == ([second, first], "print('second')")
    body = {"cmd": "execute_js_py", "args": {"domain": "demo", "name": "version", "sha256": "0" * 64}, "target": "1:1"}
    assert running.ask("POST", "/api/v1/jobs", body)[0] == 422


def test_a_script_that_was_changed_in_the_cache_is_fetched_again(running: Fleet) -> None:
    sha = put(running, "demo/cached", b"print('as it was put')")[1]["sha256"]
    run(running, "c1", "execute_js_py", domain="demo", name="cached")
    cached = running.agent_data(1) / "scripts" / sha
    cached.write_text("print('something else')")
    run(running, "c2", "execute_js_py", domain="demo", name="cached")
    assert said(running, "c2") == [(1, "as it was put")]
    assert cached.read_text() == "print('as it was put')"


def test_scripts_run_as_other_users_and_leave_no_file_behind(running: Fleet) -> None:
    put(
        running,
        "demo/who",
        b"import os, sys; print(os.getuid(), oct(os.stat(sys.argv[0]).st_mode)); print(sys.argv[0])",
    )
    task = run(running, "who", "execute_js_py", domain="demo", name="who")
    assert task["state"] == "OK"
    (_, who), (_, file) = said(running, "who")
    assert who == "0 0o100600"
    assert not Path(file).exists()


def test_the_hosts_own_scripts_are_those_that_the_master_does_not_have(running: Fleet) -> None:
    assert run(running, "own", "execute_js_py", domain="local", name="hello")["state"] == "OK"
    assert said(running, "own") == [(1, "own")]
    for id_, name, code in (
        ("none", "nothing", "NOT_FOUND"),
        ("out", "outside", "NOT_FOUND"),
        ("long", "long", "BAD_SCRIPT"),
    ):
        assert run(running, id_, "execute_js_py", domain="local", name=name)["code"] == code


def test_a_script_that_does_not_parse_fails_as_its_interpreter_says(running: Fleet) -> None:
    put(running, "demo/broken", b"this is no python")
    task = run(running, "broken", "execute_js_py", domain="demo", name="broken")
    assert (task["state"], task["exit_status"]) == ("ERROR", 1)
    assert any("SyntaxError" in text for _, text in said(running, "broken"))


@pytest.mark.parametrize(
    ("path", "text", "kind", "status"),
    [
        ("demo/x", b"", "text/plain", 422),
        ("demo/x", b"a\0b", "text/plain", 422),
        ("demo/x", b"#" * (512 * 1024 + 1), "text/plain", 422),
        ("demo/x", b"\xff", "text/plain", 400),
        ("demo/x", b"x", "application/json", 415),
        ("demo/.x", b"x", "text/plain", 422),
        ("demo/a%20b", b"x", "text/plain", 422),
        ("demo/..", b"x", "text/plain", 422),
        ("demo/" + "x" * 129, b"x", "text/plain", 422),
    ],
)
def test_a_script_that_does_not_fit_is_refused(running: Fleet, path: str, text: bytes, kind: str, status: int) -> None:
    assert put(running, path, text, kind)[0] == status


def test_a_removed_script_is_gone(running: Fleet) -> None:
    put(running, "gone/soon", b"print(1)")
    assert "gone" in {item["domain"] for item in running.ask("GET", "/api/v1/scripts")[1]["items"]}
    left = running.ask("DELETE", "/api/v1/scripts/gone/soon")[1]["items"]
    assert "gone" not in {item["domain"] for item in left}
    assert running.ask("GET", "/api/v1/scripts/gone/soon")[0] == 404
    assert running.ask("DELETE", "/api/v1/scripts/gone/soon")[0] == 404
    assert run(running, "gone", "execute_js_py", domain="gone", name="soon")["code"] == "NOT_FOUND"


def test_a_name_that_is_none_is_refused_before_it_is_looked_for(running: Fleet) -> None:
    for args in ({"domain": "..", "name": "x"}, {"domain": "a/b", "name": "x"}, {"domain": "a"}, {"name": "x"}):
        body = {"cmd": "execute_js_py", "args": args, "target": "1:1"}
        assert running.ask("POST", "/api/v1/jobs", body)[0] == 422
