"""What a problem's `type` points at is there and says what it means."""

import re

from deployer.rest.errorpage import meanings
from support.served import Served


async def test_each_code_of_an_error_is_explained_where_it_points_at(served: Served) -> None:
    problem = await served.ask("GET", "/api/v1/jobs/none")
    path, _, code = problem.json["type"].partition("#")
    page = await served.ask("GET", path, token=None)
    assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
    assert f'id="{code}"' in page.body.decode()
    known = [one for one, _, _ in meanings()]
    assert len(known) > 25
    assert re.findall('id="([a-z_]+)"', page.body.decode()) == known
    assert all(text.endswith(".") or ":" in text for _, _, text in meanings())


async def test_what_does_not_fit_is_told_with_what_would(served: Served) -> None:
    role = await served.ask("POST", "/api/v1/users", json={"name": "eve", "role": "boss"})
    assert role.json["errors"] == [
        {"pointer": "/role", "message": "Invalid enum value 'boss': must be one of viewer, operator, owner, admin"}
    ]
    agents = await served.ask("POST", "/api/v1/users", json={"name": "eve", "agents": ["1:1", "x"]})
    assert agents.json["errors"] == [{"pointer": "/agents/1", "message": "must be gid:nid"}]
    name = await served.ask("POST", "/api/v1/users", json={"name": "Eve"})
    assert "small letters" in name.json["errors"][0]["message"]
    state = await served.ask("GET", "/api/v1/jobs?state=ok")
    assert state.json["detail"].endswith("must be one of BLOCKED, ERROR, KILLED, OK, QUEUED, RUNNING, SENT, TIMEOUT")
    since = await served.ask("GET", "/api/v1/jobs?from=yesterday")
    assert since.json["detail"] == "in the query: /from: must be a time as 2026-11-23T01:02:03Z"
    metric = {"name": "n", "agent": "1:1", "processes": [{"job": "a"}], "thresholds": [{"metric": "x", "above": 1}]}
    wrong = await served.ask("POST", "/api/v1/monitors", json=metric)
    assert wrong.json["errors"][0]["message"].startswith("Invalid enum value 'x': must be one of ")


async def test_a_cursor_that_was_not_made_here_is_malformed(served: Served) -> None:
    for cursor in ("x", "1", "1~", "1~a~b", "a~b"):
        assert (await served.ask("GET", f"/api/v1/jobs?cursor={cursor}")).status == 400
