import re

import pytest
from twisted.internet.defer import Deferred

from deployer.assembly.site import NOUNS
from deployer.model.access import Permission, Role
from deployer.rest.openapi import operations
from deployer.stores.tokens import USER, Token, Tokens
from support.seeded import COMPANY
from support.served import Served, WireAgent

ROUTES = [
    ("GET", "/api/v1/jobs"),
    ("POST", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/x"),
    ("DELETE", "/api/v1/jobs/x"),
    ("GET", "/api/v1/jobs/x/tasks"),
    ("GET", "/api/v1/jobs/x/tasks/1:1/runs"),
    ("GET", "/api/v1/jobs/x/log"),
    ("GET", "/api/v1/logs"),
    ("PATCH", "/api/v1/jobs/x"),
    ("POST", "/api/v1/jobs/x/tasks"),
    ("POST", "/api/v1/jobs/x/rerun"),
    ("GET", "/api/v1/jobs/x/children"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/webhooks"),
    ("POST", "/api/v1/webhooks"),
    ("GET", "/api/v1/webhooks/x"),
    ("PATCH", "/api/v1/webhooks/x"),
    ("DELETE", "/api/v1/webhooks/x"),
    ("GET", "/api/v1/webhooks/x/deliveries"),
    ("GET", "/api/v1/scripts"),
    ("GET", "/api/v1/scripts/d/n"),
    ("PUT", "/api/v1/scripts/d/n"),
    ("DELETE", "/api/v1/scripts/d/n"),
    ("GET", "/api/v1/agents"),
    ("GET", "/api/v1/agents/1:1"),
    ("GET", "/api/v1/agents/1:1/stats"),
    ("GET", "/api/v1/metrics"),
    ("GET", "/api/v1/metrics/find"),
    ("GET", "/api/v1/processes"),
    ("GET", "/api/v1/processes/x"),
    ("GET", "/api/v1/monitors"),
    ("POST", "/api/v1/monitors"),
    ("GET", "/api/v1/monitors/x"),
    ("PATCH", "/api/v1/monitors/x"),
    ("DELETE", "/api/v1/monitors/x"),
    ("GET", "/api/v1/monitors/x/consumption"),
    ("GET", "/api/v1/schedules"),
    ("POST", "/api/v1/schedules"),
    ("GET", "/api/v1/schedules/x"),
    ("PATCH", "/api/v1/schedules/x"),
    ("DELETE", "/api/v1/schedules/x"),
    ("GET", "/api/v1/schedules/x/firings"),
    ("POST", "/api/v1/schedules/x/run"),
    ("GET", "/api/v1/hosts"),
    ("GET", "/api/v1/hosts/1:1"),
    ("GET", "/api/v1/hosts/1:1/facts"),
    ("GET", "/api/v1/hosts/1:1/history"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/audit/verify"),
    ("GET", "/api/v1/audit/export"),
    ("GET", "/api/v1/masters"),
    ("GET", "/api/v1/masters/x"),
    ("GET", "/api/v1/masters/x/exceptions"),
    ("PATCH", "/api/v1/agents/1:1"),
    ("PATCH", "/api/v1/hosts/1:1"),
    ("GET", "/api/v1/agents/1:1/activity"),
    ("GET", "/api/v1/agents/1:1/tasks"),
    ("GET", "/api/v1/user"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("DELETE", "/api/v1/tokens/x"),
    ("GET", "/api/v1/join-tokens"),
    ("POST", "/api/v1/join-tokens"),
    ("DELETE", "/api/v1/join-tokens/x"),
    ("GET", "/api/v1/agent-requests"),
    ("POST", "/api/v1/agent-requests/x/accept"),
    ("POST", "/api/v1/agent-requests/x/reject"),
    ("DELETE", "/api/v1/agents/x"),
    ("GET", "/api/v1/companies"),
    ("POST", "/api/v1/companies"),
    ("GET", "/api/v1/companies/x"),
    ("PATCH", "/api/v1/companies/x"),
    ("DELETE", "/api/v1/companies/x"),
    ("POST", "/api/v1/companies/x/grids"),
    ("GET", "/api/v1/users"),
    ("POST", "/api/v1/users"),
    ("GET", "/api/v1/users/x"),
    ("PATCH", "/api/v1/users/x"),
    ("DELETE", "/api/v1/users/x"),
    ("PUT", "/api/v1/users/x/password"),
    ("GET", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("GET", "/metrics"),
]
AGENT_ROUTES = [
    ("GET", "/1/1/cmd"),
    ("POST", "/1/1/accept"),
    ("POST", "/1/1/log"),
    ("POST", "/1/1/result"),
    ("POST", "/1/1/stats"),
    ("POST", "/1/1/facts"),
    ("POST", "/1/1/processes"),
]
WRONG = ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer x", "Bearer " + "x" * 9_000, "Bearer dpl_é", "bearer dpl_a_b"]


@pytest.mark.parametrize("header", WRONG)
async def test_no_route_opens_to_a_wrong_token(served: Served, header: str) -> None:
    for method, path in ROUTES + AGENT_ROUTES:
        raw = {"Authorization": header.encode()}
        reply = await served.ask(method, path, token=None, headers=raw)
        assert (reply.status, reply.code) == (401, "unauthorized"), (method, path)
        assert reply.header("www-authenticate") == 'Bearer realm="deployer"'


def test_every_route_that_needs_a_token_is_among_these() -> None:
    forms = [
        (one.declaration.method, re.sub("<[^>]*>", "[^/]+", one.declaration.path))
        for one in operations(NOUNS)
        if one.declaration.needs is not Permission.PUBLIC
    ]
    left = [form for form in forms if not any(form[0] == m and re.fullmatch(form[1], path) for m, path in ROUTES)]
    assert left == []


async def test_no_route_opens_without_a_token_or_to_one_in_the_query(served: Served) -> None:
    for method, path in ROUTES + AGENT_ROUTES:
        assert (await served.ask(method, path, token=None)).status == 401
        assert (await served.ask(method, f"{path}?token={served.seeded.admin.text}", token=None)).status == 401


@pytest.mark.parametrize("name", ["authorization", "cookie", "origin", "x-csrf-token", "if-match", "x-forwarded-for"])
async def test_a_header_that_is_no_text_harms_nothing(served: Served, name: str) -> None:
    for value in (b"Bearer \xff", b"deployer=\xff", b'"\xff"', b"\xc3("):
        reply = await served.ask("DELETE", "/api/v1/users/x", token=None, headers={name: value})
        assert reply.status in {401, 403}, (name, value, reply.body)
        if name != "authorization":
            assert (await served.ask("DELETE", "/api/v1/users/x", headers={name: value})).status == 404


async def test_two_tokens_are_malformed(served: Served) -> None:
    token = served.seeded.admin.text
    headers = {"Authorization": [f"Bearer {token}", f"Bearer {token}"]}
    assert (await served.ask("GET", "/api/v1/jobs", token=None, headers=headers)).status == 400


async def test_an_agents_session_opens_no_route_of_users_and_a_users_token_none_of_agents(
    served: Served, agent: WireAgent
) -> None:
    for method, path in ROUTES:
        assert (await served.ask(method, path, token=agent.session)).status == 401
    for method, path in AGENT_ROUTES:
        assert (await served.ask(method, path)).status == 401


async def test_an_agent_cannot_speak_for_another(served: Served, agent: WireAgent) -> None:
    for method, path in AGENT_ROUTES:
        reply = await served.ask(method, path, token=agent.session)
        assert (reply.status, reply.code) == (403, "forbidden")


NEEDS_OPERATOR = {("POST", "jobs"), ("PATCH", "jobs"), ("DELETE", "jobs"), ("PUT", "scripts"), ("DELETE", "scripts")}
NEEDS_OPERATOR |= {(method, noun) for noun in ("monitors", "schedules") for method in ("POST", "PATCH", "DELETE")}
_OWNERS = ("audit", "users", "tokens", "join-tokens", "agent-requests", "webhooks")
NEEDS_OWNER = {(method, noun) for noun in _OWNERS for method in ("GET", "POST", "DELETE")}
NEEDS_OWNER |= {
    ("DELETE", "agents"),
    ("PATCH", "users"),
    ("PATCH", "webhooks"),
    ("PATCH", "agents"),
    ("PATCH", "hosts"),
    ("PATCH", "companies"),
}
NEEDS_ADMIN = {("POST", "companies"), ("DELETE", "companies"), ("GET", "masters"), ("GET", "/metrics")}


@pytest.mark.parametrize("role", Role)
async def test_each_role_opens_its_routes_and_no_other(served: Served, role: Role) -> None:
    token = await served.token_of("sam", role)
    above = {Role.VIEWER: NEEDS_OPERATOR | NEEDS_OWNER | NEEDS_ADMIN, Role.OPERATOR: NEEDS_OWNER | NEEDS_ADMIN}
    closed = {Role.OWNER: NEEDS_ADMIN, **above}.get(role, set())
    for method, path in ROUTES:
        noun = path.removeprefix("/api/v1/").partition("/")[0] if path.startswith("/api") else path
        status = (await served.ask(method, path, token=token)).status
        assert (status == 403) is ((method, noun) in closed), (method, path, status)
        assert status != 401


async def test_a_viewer_may_look_and_not_run(served: Served) -> None:
    token = Token.new(USER)
    await Tokens(served.seeded.redis).add_user_token(token, COMPANY, "eve", Role.VIEWER)
    assert (await served.ask("GET", "/api/v1/jobs", token=token.text)).status == 200
    for method, path in (("POST", "/api/v1/jobs"), ("DELETE", "/api/v1/jobs/x")):
        reply = await served.ask(method, path, token=token.text)
        assert (reply.status, reply.code) == (403, "forbidden")


async def test_another_companys_user_sees_nothing(served: Served, agent: WireAgent) -> None:
    token = Token.new(USER)
    await Tokens(served.seeded.redis).add_user_token(token, "other", "mallory", Role.OWNER)
    await served.submit(target="1:7", id="secret")
    runs = "/api/v1/jobs/secret/tasks/1:7/runs"
    for path in (
        "/api/v1/jobs/secret",
        "/api/v1/jobs/secret/log",
        "/api/v1/jobs/secret/tasks",
        "/api/v1/agents/1:7",
        runs,
    ):
        foreign = await served.ask("GET", path, token=token.text)
        missing = await served.ask("GET", path.replace("secret", "none").replace("1:7", "1:99"), token=token.text)
        assert foreign.status == missing.status == 404
        assert foreign.json["detail"] == missing.json["detail"]
    assert (await served.ask("DELETE", "/api/v1/jobs/secret", token=token.text)).status == 404
    assert (await served.ask("GET", "/api/v1/jobs", token=token.text)).json["items"] == []
    assert (await served.ask("GET", "/api/v1/agents", token=token.text)).json["items"] == []
    body = {"cmd": "ping", "target": "1:7", "id": "secret"}
    foreign = await served.ask("POST", "/api/v1/jobs", json=body, token=token.text)
    assert (foreign.status, foreign.code) == (422, "no_matching_agent")
    kill = {"cmd": "kill", "args": {"id": "secret"}, "target": "1:7"}
    assert (await served.ask("POST", "/api/v1/jobs", json=kill, token=token.text)).status == 404
    foreign = await served.ask("POST", "/api/v1/jobs", json={**body, "cmd": "x"}, token=token.text)
    assert (foreign.status, foreign.code) == (422, "unknown_command")
    assert (await served.ask("GET", "/api/v1/jobs/secret")).json["state"] == "QUEUED"


@pytest.mark.parametrize(("role", "status"), [(Role.OPERATOR, 403), (Role.OWNER, 202), (Role.ADMIN, 202)])
async def test_a_shell_is_a_right_of_its_own(served: Served, agent: WireAgent, role: Role, status: int) -> None:
    token = Token.new(USER)
    await Tokens(served.seeded.redis).add_user_token(token, COMPANY, "sam", role)
    body = {"cmd": "execute", "args": {"cmd": "id; id", "shell": True}, "target": "1:7"}
    assert (await served.ask("POST", "/api/v1/jobs", json=body, token=token.text)).status == status
    body["args"] = {"cmd": "id"}
    assert (await served.ask("POST", "/api/v1/jobs", json=body, token=token.text)).status == 202


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "FOO"])
async def test_a_method_that_is_not_declared_is_refused_with_those_that_are(served: Served, method: str) -> None:
    reply = await served.ask(method, "/api/v1/jobs")
    assert reply.status == 405
    assert reply.code == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/api/v2/jobs",
        "/api/v1/jobs/",
        "/api//v1/jobs",
        "/api/v1/./jobs",
        "/1/1/nope",
        "/agent/v1/nope",
        "/1/1",
    ],
)
async def test_what_is_at_no_route_is_not_found(served: Served, path: str) -> None:
    reply = await served.ask("GET", path)
    assert (reply.status, reply.code) == (404, "not_found")


async def test_the_open_routes_need_no_token(served: Served) -> None:
    for path in ("/livez", "/readyz", "/"):
        assert (await served.ask("GET", path, token=None)).status == 200


async def test_a_client_that_leaves_leaves_nothing_behind(served: Served, agent: WireAgent) -> None:
    await served.submit(target="1:7", id="long", cmd="execute", args={"cmd": "x"})
    leaving = Deferred.fromCoroutine(served.ask("GET", "/api/v1/jobs/long?wait=30"))
    polling = Deferred.fromCoroutine(served.ask("GET", "/1/7/cmd?n=0", token=agent.session))
    await served.until(lambda: len(served.hub) == 2)
    for one in (leaving, polling):
        one.addErrback(lambda _: None)
        one.cancel()
    await served.until(lambda: len(served.hub) == 0)


async def test_agents_are_shown_with_state_and_last_contact(served: Served, agent: WireAgent) -> None:
    shown = (await served.ask("GET", "/api/v1/agents/1:7")).json
    assert (shown["gid"], shown["nid"], shown["state"], shown["hostname"]) == (1, 7, "online", "h")
    assert shown["last_seen"].endswith("Z")
    page = (await served.ask("GET", "/api/v1/agents?limit=1")).json
    rest = (await served.ask("GET", f"/api/v1/agents?cursor={page['next']}")).json
    assert [one["nid"] for one in page["items"] + rest["items"]] == [1, 7]
    for path in ("/api/v1/agents/1:99", "/api/v1/agents/x", "/api/v1/agents/01:7"):
        assert (await served.ask("GET", path)).status == 404
    assert agent.agent.nid == 7
