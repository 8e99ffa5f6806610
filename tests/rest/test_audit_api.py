import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from deployer.dispatch import audit
from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from support.seeded import COMPANY
from support.served import Served, WireAgent


async def entries(served: Served, query: str = "", **more: Any) -> list[dict[str, Any]]:
    reply = await served.ask("GET", f"/api/v1/audit?{query}", **more)
    assert reply.status == 200, reply.body
    items: list[dict[str, Any]] = reply.json["items"]
    return items


async def test_a_job_is_in_the_audit_log_with_who_asked_for_it_and_the_id_that_the_master_made(
    served: Served, agent: WireAgent
) -> None:
    reply = await served.submit(target="1:7")
    entry, joined = await entries(served)
    assert joined["action"] == "POST /agent/v1/join"
    assert entry["object"] == f"{reply.json['id']}/1:7"
    assert (entry["user"], entry["decision"], entry["code"]) == ("admin", "allowed", "")
    assert entry["action"] == "POST /api/v1/jobs"
    assert entry["address"] == "127.0.0.1"
    assert entry["token"] == served.seeded.admin.kid
    assert entry["request_id"] == reply.header("x-request-id")
    assert agent.agent.nid == 7


async def test_reading_is_not_noted_but_being_refused_is(served: Served) -> None:
    token = await served.token_of("eve", Role.VIEWER)
    assert (await served.ask("GET", "/api/v1/jobs", token=token)).status == 200
    assert (await served.ask("GET", "/api/v1/jobs/none", token=token)).status == 404
    assert (await served.ask("GET", "/api/v1/users", token=token)).status == 403
    assert (await served.ask("DELETE", "/api/v1/jobs/x", token=token)).status == 403
    seen = [(one["user"], one["action"], one["object"], one["decision"], one["code"]) for one in await entries(served)]
    assert seen == [
        ("eve", "DELETE /api/v1/jobs/<job>", "x", "denied", "forbidden"),
        ("eve", "GET /api/v1/users", "", "denied", "forbidden"),
    ]


async def test_a_change_of_what_is_not_there_is_allowed_and_then_denied(served: Served) -> None:
    assert (await served.ask("DELETE", "/api/v1/jobs/gone")).status == 404
    assert [(one["decision"], one["code"]) for one in await entries(served)] == [
        ("denied", "not_found"),
        ("allowed", ""),
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"cmd": 1, "target": "1:1"}', b'{"nope": 1}'])
async def test_a_body_that_is_wrong_asks_for_nothing(served: Served, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await served.ask("POST", "/api/v1/jobs", data=body, headers=headers)).status in {400, 422}
    assert await entries(served) == []


async def test_who_is_nobody_is_counted_by_address_and_reason(served: Served) -> None:
    for token in (None, "dpl_x_y", "dpl_x_y"):
        assert (await served.ask("GET", "/api/v1/jobs", token=token)).status == 401
    assert (await served.ask("POST", "/api/v1/session", json={"user": "x", "password": "y"}, token=None)).status == 401
    assert await entries(served) == []
    await served.core.trail.tick()
    (entry,) = await entries(served)
    assert (entry["count"], entry["address"], entry["code"]) == (4, "127.0.0.1", "unauthorized")
    assert (entry["user"], entry["decision"]) == ("", "denied")
    await served.core.trail.tick()
    assert len(await entries(served)) == 1


async def test_logs_in_and_out_are_noted_without_the_password(served: Served) -> None:
    password = "correct horse battery"
    await served.token_of("sam", Role.VIEWER)
    set_it = await served.ask("PUT", "/api/v1/users/sam/password", json={"password": password})
    assert set_it.status == 200, set_it.body
    body = {"user": "sam", "password": password}
    assert (await served.ask("POST", "/api/v1/session", json=body, token=None)).status == 201
    assert [(one["user"], one["action"], one["object"]) for one in await entries(served)] == [
        ("sam", "POST /api/v1/session", ""),
        ("admin", "PUT /api/v1/users/<user>/password", "sam"),
    ]
    export = await served.ask("GET", "/api/v1/audit/export")
    assert password.encode() not in export.body


async def test_many_at_once_are_one_unbroken_chain_and_each_is_in_it_once(served: Served, agent: WireAgent) -> None:
    ids = [f"j{number}" for number in range(60)]
    await gatherResults([ensureDeferred(served.submit(id=one, target="1:7")) for one in ids])
    noted = [one["object"].partition("/")[0] for one in await entries(served, "limit=60")]
    assert sorted(noted) == sorted(ids)
    report = (await served.ask("GET", "/api/v1/audit/verify")).json
    assert report == {"intact": True, "entries": 61, "first": 1, "last": 61, "broken": None, "reason": ""}
    assert agent.agent.nid == 7


async def test_an_export_can_be_checked_by_whoever_has_it(served: Served) -> None:
    for number in range(5):
        await served.ask("DELETE", f"/api/v1/jobs/x{number}")
    export = await served.ask("GET", "/api/v1/audit/export")
    assert export.header("content-type") == "application/x-ndjson"
    lines = export.body.splitlines()
    assert len(lines) == 10
    before = ""
    for line in lines:
        its = json.loads(line)
        raw = line[line.index(b'"entry":') + len(b'"entry":') : -1]
        assert json.loads(raw) == its["entry"]
        if before:
            assert hashlib.sha256(bytes.fromhex(before) + raw).hexdigest() == its["hash"]
        before = its["hash"]


async def test_the_log_of_one_company_is_not_that_of_another(served: Served) -> None:
    other = await served.token_of("olga", Role.OWNER, "other")
    assert (await served.ask("DELETE", "/api/v1/jobs/x")).status == 404
    assert await entries(served, token=other) == []
    assert (await served.ask("DELETE", "/api/v1/jobs/y", token=other)).status == 404
    assert {one["object"] for one in await entries(served, token=other)} == {"y"}
    assert {one["object"] for one in await entries(served)} == {"x"}


async def test_the_log_is_filtered_and_read_page_by_page(served: Served) -> None:
    for number in range(7):
        await served.ask("DELETE", f"/api/v1/jobs/x{number}")
    assert len(await entries(served, "decision=denied")) == 7
    assert [one["n"] for one in await entries(served, "object=x3")] == [8, 7]
    assert await entries(served, "user=nobody") == []
    assert await entries(served, "from=2100-01-01T00:00:00Z") == []
    assert len(await entries(served, "from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z")) == 14
    seen, path = [], "/api/v1/audit?limit=4"
    while path:
        page = (await served.ask("GET", path)).json
        seen += [one["n"] for one in page["items"]]
        path = page["next"] and f"/api/v1/audit?limit=4&cursor={page['next']}"
    assert seen == list(range(14, 0, -1))
    for wrong in (
        "cursor=x",
        "decision=maybe",
        "from=yesterday",
        "to=0.5",
        "from=2000-02-30T00:00:00Z",
        "from=2000-01-01T00:00:00",
        "limit=0",
        "limit=1001",
        "nope=1",
    ):
        assert (await served.ask("GET", f"/api/v1/audit?{wrong}")).status == 400, wrong


async def test_what_cannot_be_noted_is_not_done(
    served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_WAITING", 0)
    assert (await served.submit(id="unnoted", target="1:7")).status == 503
    assert (await served.ask("GET", "/api/v1/jobs/unnoted")).status == 404
    assert agent.agent.nid == 7


async def test_agents_that_join_and_what_they_may_not_say_are_noted(served: Served) -> None:
    agent = WireAgent(served, AgentId(1, 7))
    assert (await agent.join("dpj_0123456789abcdef_" + "0" * 64)).status == 401
    assert (await agent.join(served.seeded.join_token.text, hostname="web7")).status == 200
    assert (await agent.open()).status == 200
    await served.submit(target="1:7", id="early")
    assert (await agent.post("result", {"results": [{"id": "early", "state": "OK"}]})).json == {
        "receipts": ["CONFLICT"]
    }
    lie, _, joined = await entries(served)
    assert (lie["user"], lie["object"], lie["decision"], lie["code"]) == ("agent 1:7", "early/OK", "denied", "conflict")
    assert (joined["user"], joined["object"], joined["action"]) == ("agent 1:7", "1:7/web7", "POST /agent/v1/join")
    assert (joined["token"], joined["address"]) == (served.seeded.join_token.kid, "127.0.0.1")
    await served.core.trail.tick()
    assert [(one["code"], one["count"]) for one in await entries(served, "limit=1")] == [("unauthorized", 1)]


async def test_a_job_for_an_agent_that_is_not_the_users_is_denied_in_the_log(served: Served, agent: WireAgent) -> None:
    await served.ask("POST", "/api/v1/users", json={"name": "oscar", "role": "operator", "agents": ["1:1"]})
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "oscar"})).json["token"]
    reply = await served.ask("POST", "/api/v1/jobs", json={"cmd": "ping", "target": "1:7", "id": "x"}, token=token)
    assert (reply.status, reply.code) == (422, "no_matching_agent")
    denied = (await served.ask("GET", "/api/v1/audit?decision=denied")).json["items"]
    assert [(one["user"], one["object"], one["code"]) for one in denied] == [("oscar", "x/1:7", "no_matching_agent")]


async def test_an_export_is_checked_by_the_lines_that_the_documentation_has(
    served: Served, tmp_path: Path, agent: WireAgent
) -> None:
    for name in ("eve", "ann"):
        await served.ask("POST", "/api/v1/users", json={"name": name})
    export = (await served.ask("GET", "/api/v1/audit/export")).body
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text()
    code = textwrap.dedent("    import hashlib" + page.partition("    import hashlib")[2].partition("\n\nPast")[0])

    def check(lines: bytes) -> int:
        command = [sys.executable, "-c", code, COMPANY]
        return subprocess.run(command, input=lines, capture_output=True, check=False).returncode

    assert export.count(b"\n") > 2
    assert check(export) == 0
    assert check(export.replace(b'"eve"', b'"eva"').replace(b"/eve", b"/eva")) == 1
    assert check(export.partition(b"\n")[2]) == 1
