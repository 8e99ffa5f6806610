"""The hand-written matrix of tests/data/authorization.txt: route by role, on what is one's own and what is not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from deployer.assembly.site import NOUNS
from deployer.errors import WaitingError
from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.protocol.messages import StoredMessage
from deployer.protocol.wire import JoinRequest
from deployer.rest.openapi import operations
from deployer.stores.logs import Logs, Said
from deployer.stores.masters import Masters
from deployer.stores.waitingroom import WaitingRoom, fingerprint_of
from support.hosts import HOST
from support.livelists import listing, live
from support.master_record import record
from support.seeded import COMPANY, NOW
from support.served import Reply, Served, WireAgent

MATRIX = Path(__file__).parents[1] / "data" / "authorization.txt"
ROLES = [Role.VIEWER, Role.OPERATOR, Role.OWNER, Role.ADMIN]
SECRET = "hidden"
"""Is part of every name and id of the company, as far as somebody chooses it."""


class Row(Struct, frozen=True):
    """A line of the file."""

    method: str
    route: str
    roles: dict[Role, str]
    foreign: str


def _rows() -> Iterator[Row]:
    for line in MATRIX.read_text().splitlines():
        if line and not line.startswith("#"):
            method, route, *roles, foreign = line.split()
            yield Row(method, route, dict(zip(ROLES, roles, strict=True)), foreign)


ROWS = list(_rows())
JOB = {"cmd": "ping", "target": "1:7"}
WEBHOOK = {"name": "hook", "url": f"https://{SECRET.lower()}.example/"}
MONITOR = {"name": "watched", "agent": "1:7", "processes": [{"domain": "web"}]}
SCHEDULE = {"name": "new", "every_s": 3600, "overlap": "replace", "job": JOB}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/companies"): {"name": "new"},
    ("PATCH", "/api/v1/companies/<company>"): {"name": "renamed"},
    ("POST", "/api/v1/companies/<company>/grids"): {},
    ("POST", "/api/v1/users"): {"name": "new"},
    ("PATCH", "/api/v1/users/<user>"): {"email": "x@example.com"},
    ("PUT", "/api/v1/users/<user>/password"): {"password": "a long enough one"},
    ("POST", "/api/v1/tokens"): {"name": "new", "user": f"{SECRET}-user"},
    ("POST", "/api/v1/join-tokens"): {"name": "new"},
    ("PUT", "/api/v1/scripts/<domain>/<name>"): "-- text",
    ("POST", "/api/v1/jobs"): JOB,
    ("PATCH", "/api/v1/jobs/<job>"): {"priority": 5},
    ("POST", "/api/v1/jobs/<job>/rerun"): {},
    ("POST", "/api/v1/jobs/<job>/tasks"): {"target": "1:7"},
    ("PATCH", "/api/v1/agents/<agent>"): {"rack": "r1"},
    ("PATCH", "/api/v1/hosts/<host>"): {"rack": "r1"},
    ("POST", "/api/v1/agent-requests/<fingerprint>/accept"): {},
    ("POST", "/api/v1/webhooks"): WEBHOOK,
    ("PATCH", "/api/v1/webhooks/<webhook>"): {"paused": True},
    ("POST", "/api/v1/monitors"): MONITOR,
    ("PATCH", "/api/v1/monitors/<monitor>"): {"name": "renamed"},
    ("POST", "/api/v1/schedules"): SCHEDULE,
    ("PATCH", "/api/v1/schedules/<schedule>"): {"every_s": 7200},
}
TELLS_NO_NAMES = {"/api/v1/user", "/api/v1/session", "/api/v1/audit/verify"}
NEEDS_A_SESSION = {("GET", "/api/v1/session"), ("DELETE", "/api/v1/session")}
NONE = {
    "company": "none",
    "user": "none",
    "token_id": "0" * 16,
    "agent": "1:99",
    "host": "1:99",
    "domain": "none",
    "name": "none",
    "job": "none",
    "task": "1:99",
    "fingerprint": "0" * 64,
    "process": "none@1:99.1",
    "monitor": "0" * 32,
    "webhook": "0" * 32,
    "schedule": "0" * 32,
}


class Tenant:
    """A company with something of everything: what the parts of paths stand for."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self._asking = 0
        self.things = {
            "company": COMPANY,
            "user": f"{SECRET}-user",
            "agent": "1:7",
            "host": "1:7",
            "domain": SECRET,
            "name": "script",
            "job": f"{SECRET}-job",
            "task": "1:7",
            "process": f"{SECRET}-job@1:7.1",
            "master": "one",
        }

    async def fill(self) -> None:
        """Make it all, as the admin."""
        agent = WireAgent(self.served, AgentId(1, 7))
        assert (await agent.join(self.served.seeded.join_token.text, hostname=f"{SECRET}.host")).status == 200
        assert (await agent.open()).status == 200
        facts = msgspec.to_builtins(HOST) | {"hostname": f"{SECRET}.host"}
        assert (await agent.post("facts", facts)).status == 200
        await self.make("POST", "/api/v1/users", {"name": self.things["user"]})
        script = f"/api/v1/scripts/{SECRET}/script"
        assert (await self._ask("PUT", script, "-- text")).status == 201
        await self.make("POST", "/api/v1/jobs", {**JOB, "id": self.things["job"]})
        await Masters(self.served.seeded.redis).tell(record())
        await agent.poll()
        assert (await agent.post("processes", listing(live(self.things["job"], name=SECRET)))).status == 200
        self.things["monitor"] = await self._watch()
        self.things["webhook"] = await self._hook()
        self.things["schedule"] = await self._repeat("schedule")
        await self._wait()
        said = StoredMessage("", "1:7", 1, 1, 0, SECRET)
        await Logs(self.served.seeded.redis).append(COMPANY, [Said("log.a.b", 1, msgspec.json.encode([said]))])

    async def make(self, method: str, path: str, body: Any) -> Any:
        """Ask for something that must be done."""
        reply = await self._ask(method, path, body)
        assert reply.status in {200, 201, 202}, (path, reply.body)
        return reply.json

    async def named(self, row: Row) -> str:
        """The path of a row with this company's names; what a row destroys is made for it."""
        things = dict(self.things)
        if row.route.endswith("<token_id>"):
            kind = "join-tokens" if "join" in row.route else "tokens"
            whose = {} if "join" in row.route else {"user": self.things["user"]}
            made = await self.make("POST", f"/api/v1/{kind}", {"name": f"{SECRET} token", **whose})
            things["token_id"] = made["id"]
        if row.method == "DELETE" and "<user>" in row.route:
            things["user"] = (await self.make("POST", "/api/v1/users", {"name": f"{SECRET}-doomed"}))["name"]
        if row.route.endswith("/rerun"):
            self._asking += 1
            things["job"] = f"{SECRET}-ended-{self._asking}"
            await self.make("POST", "/api/v1/jobs", {**JOB, "id": things["job"]})
            await self.make("DELETE", f"/api/v1/jobs/{things['job']}", None)
        if row.method == "DELETE" and "<webhook>" in row.route:
            things["webhook"] = await self._hook()
        if row.method == "DELETE" and "<monitor>" in row.route:
            things["monitor"] = await self._watch()
        if row.method == "DELETE" and "<schedule>" in row.route:
            things["schedule"] = await self._repeat("doomed")
        if "<fingerprint>" in row.route:
            things["fingerprint"] = await self._wait()
        if row.method == "DELETE" and "<agent>" in row.route:
            things["agent"] = await self._join()
        if row.method == "DELETE" and "<company>" in row.route:
            things["company"] = (await self.make("POST", "/api/v1/companies", {"name": "doomed"}))["id"]
        return _path(row.route, things)

    async def _watch(self) -> str:
        """One more monitor."""
        made = await self.make("POST", "/api/v1/monitors", {**MONITOR, "name": f"{SECRET} monitor"})
        return str(made["id"])

    async def _hook(self) -> str:
        """One more webhook."""
        return str((await self.make("POST", "/api/v1/webhooks", WEBHOOK))["id"])

    async def _repeat(self, name: str) -> str:
        """One more schedule."""
        made = await self.make("POST", "/api/v1/schedules", {**SCHEDULE, "name": f"{SECRET}-{name}"})
        return str(made["id"])

    async def _wait(self) -> str:
        """An agent without a token asks to be let in."""
        self._asking += 1
        agent = WireAgent(self.served, AgentId(1, 100 + self._asking))
        wanted = JoinRequest(token="", public_key=agent.public, hostname=f"{SECRET}.host", gid=1, nid=agent.agent.nid)
        with pytest.raises(WaitingError):
            await WaitingRoom(self.served.seeded.redis, COMPANY, is_open=True).ask(wanted, "127.0.0.1", NOW)
        return fingerprint_of(agent.public)

    async def _join(self) -> str:
        """One more agent."""
        self._asking += 1
        agent = WireAgent(self.served, AgentId(1, 100 + self._asking))
        assert (await agent.join(self.served.seeded.join_token.text)).status == 200
        return str(agent.agent)

    async def _ask(self, method: str, path: str, body: Any, **more: Any) -> Reply:
        return await _ask(self.served, method, path, body, **more)


def _path(route: str, things: dict[str, str]) -> str:
    return re.sub("<([a-z_]+)>", lambda match: things[match[1]], route)


async def _ask(served: Served, method: str, path: str, body: Any, **more: Any) -> Reply:
    if isinstance(body, str):
        return await served.ask(method, path, data=body.encode(), headers={"Content-Type": "text/plain"}, **more)
    return await served.ask(method, path, **({} if body is None else {"json": body}), **more)


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    declared = sorted((one.declaration.method, one.declaration.path) for one in operations(NOUNS))
    assert sorted((row.method, row.route) for row in ROWS) == declared


def test_every_row_says_what_is_so() -> None:
    for row in ROWS:
        assert set(row.roles.values()) <= {"+", "-", "self", "public"}, row
        assert row.foreign in {"404", "422", "own", "-"}, row
        assert not (row.foreign == "404" and "<" not in row.route), row


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_may_do_what_its_column_says_and_nothing_else(served: Served, role: Role) -> None:
    tenant = Tenant(served)
    await tenant.fill()
    token = await served.token_of("sam", role)
    for row in ROWS:
        if row.roles[role] == "public":
            continue
        path, body = await tenant.named(row), BODIES.get((row.method, row.route))
        reply = await _ask(served, row.method, path, body, token=token)
        await _check(served, row, role, reply, token)


async def _check(served: Served, row: Row, role: Role, reply: Reply, token: str) -> None:
    place = (role, row.method, row.route, reply.body[:300])
    if row.roles[role] == "-":
        assert (reply.status, reply.code) == (403, "forbidden"), place
    elif (row.method, row.route) in NEEDS_A_SESSION:
        assert reply.status == 404, place
    elif row.roles[role] == "self":
        assert reply.status in {403, 404}, place
        own = _path(row.route, {"user": "sam"})
        mine = await _ask(served, row.method, own, BODIES.get((row.method, row.route)), token=token)
        assert mine.status == 200, (own, mine.body)
    else:
        assert reply.status in {200, 201, 202}, place


async def test_what_is_anothers_is_answered_as_what_does_not_exist(served: Served) -> None:
    tenant = Tenant(served)
    await tenant.fill()
    token = await served.token_of("olga", Role.OWNER, "other")
    paths = [(row, await tenant.named(row)) for row in ROWS if row.foreign == "404"]
    before = await _everything(tenant)
    for row, path in paths:
        body = BODIES.get((row.method, row.route))
        foreign = await _ask(served, row.method, path, body, token=token)
        missing = await _ask(served, row.method, _path(row.route, NONE), body, token=token)
        assert (foreign.status, foreign.code) == (404, "not_found"), (row, foreign.body)
        assert _told(foreign) == _told(missing), row
    assert await _everything(tenant) == before


def _told(reply: Reply) -> object:
    """All that somebody could tell two answers apart by."""
    headers = {
        name: values for name, values in reply.headers.getAllRawHeaders() if name not in {b"X-Request-Id", b"Date"}
    }
    return reply.status, headers, reply.json | {"request_id": ""}


async def _everything(tenant: Tenant) -> list[bytes]:
    routes = [row.route for row in ROWS if row.method == "GET" and "self" not in row.roles.values()]
    left = [
        route for route in routes if not {"token_id"} & set(re.findall("<([a-z_]+)>", route)) and "token" not in route
    ]
    steady = [route for route in left if "audit" not in route and "session" not in route and "openapi" not in route]
    replies = [await tenant.served.ask("GET", _path(route, tenant.things)) for route in steady]
    return [re.sub(rb'"(last_seen|age_s|seen|from|to)":[^,}]*', b"", reply.body) for reply in replies]


async def test_lists_hold_nothing_of_another_company(served: Served) -> None:
    tenant = Tenant(served)
    await tenant.fill()
    await tenant.make("POST", "/api/v1/tokens", {"name": f"{SECRET} token"})
    await tenant.make("POST", "/api/v1/join-tokens", {"name": f"{SECRET} token"})
    token = await served.token_of("olga", Role.OWNER, "other")
    for row in ROWS:
        if row.foreign != "own":
            continue
        reply = await served.ask(row.method, row.route, token=token)
        assert reply.status == (404 if (row.method, row.route) in NEEDS_A_SESSION else 200), (row, reply.body)
        assert SECRET.encode() not in reply.body, (row, reply.body)
        if row.route not in TELLS_NO_NAMES:  # there is something to be hidden
            own = await served.ask(row.method, row.route)
            assert SECRET.encode() in own.body or b'"acme"' in own.body, (row, own.body)


async def test_bodies_that_name_what_is_anothers_are_refused_as_if_it_did_not_exist(served: Served) -> None:
    tenant = Tenant(served)
    await tenant.fill()
    token = await served.token_of("olga", Role.OWNER, "other")
    missing = {
        "/api/v1/jobs": {**JOB, "target": "1:99"},
        "/api/v1/tokens": {"name": "new", "user": "nobody"},
        "/api/v1/monitors": {**MONITOR, "agent": "1:99"},
        "/api/v1/schedules": {**SCHEDULE, "job": {**JOB, "target": "1:99"}},
    }
    rows = [row for row in ROWS if row.foreign == "422"]
    assert {row.route for row in rows} == set(missing)
    for row in rows:
        foreign = await _ask(served, row.method, row.route, BODIES[row.method, row.route], token=token)
        absent = await _ask(served, row.method, row.route, missing[row.route], token=token)
        assert foreign.status == absent.status == 422, (row, foreign.body, absent.body)
        assert foreign.pointers == absent.pointers
