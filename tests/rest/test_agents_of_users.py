"""A user who may use some agents only: the others answer as if they did not exist, on every route that names one."""

from typing import Any

import pytest

from deployer.protocol.ids import AgentId
from support.livelists import listing, live
from support.served import Reply, Served, WireAgent

MINE, HIDDEN, NONE = "1:7", "1:8", "1:9"


async def limited(served: Served, *agents: str, role: str = "owner") -> str:
    made = await served.ask("POST", "/api/v1/users", json={"name": "eve", "role": role, "agents": list(agents)})
    assert made.status == 201, made.json
    token = await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "eve"})
    assert token.status == 201, token.json
    return str(token.json["token"])


async def two(served: Served) -> WireAgent:
    """1:7 is the fixture `agent`; 1:8 is there beside it."""
    other = WireAgent(served, AgentId(1, 8))
    assert (await other.join(served.seeded.join_token.text)).status == 200
    assert (await other.open()).status == 200
    return other


def told(reply: Reply) -> tuple[int, Any, Any]:
    """What an answer tells, without what names the request."""
    body = {name: value for name, value in reply.json.items() if name != "request_id"}
    headers = {name for name, _ in reply.headers.getAllRawHeaders()}
    return reply.status, body, headers


async def test_lists_have_the_own_agents_only(served: Served, agent: WireAgent) -> None:
    await two(served)
    token = await limited(served, MINE, NONE)
    for path in ("agents", "hosts"):
        everything = (await served.ask("GET", f"/api/v1/{path}")).json["items"]
        assert [one["id"] for one in everything] == ["1:1", MINE, HIDDEN]
        items = (await served.ask("GET", f"/api/v1/{path}", token=token)).json["items"]
        assert [one["id"] for one in items] == [MINE]
    company = (await served.ask("GET", "/api/v1/companies", token=token)).json["items"][0]
    assert company["agents"]["count"] is None
    me = (await served.ask("GET", "/api/v1/user", token=token)).json
    assert me["agents"] == [MINE, NONE]


async def test_pages_of_the_own_agents_follow_each_other(served: Served, agent: WireAgent) -> None:
    await two(served)
    token = await limited(served, MINE, HIDDEN, NONE)
    first = (await served.ask("GET", "/api/v1/agents?limit=1", token=token)).json
    rest = (await served.ask("GET", f"/api/v1/agents?limit=1&cursor={first['next']}", token=token)).json
    assert [one["id"] for one in first["items"] + rest["items"]] == [MINE, HIDDEN]
    assert rest["next"] is None


async def test_processes_are_those_of_the_own_agents(served: Served, agent: WireAgent) -> None:
    other = await two(served)
    for one in (agent, other):
        assert (await one.post("processes", listing(live("web")))).status == 200
    token = await limited(served, MINE)
    for query, nids in (("", [7]), ("?gid=1", [7]), ("?gid=1&nid=7", [7]), ("?gid=1&nid=8", [])):
        page = (await served.ask("GET", f"/api/v1/processes{query}", token=token)).json
        assert [one["agent"]["nid"] for one in page["items"]] == nids
    assert len((await served.ask("GET", "/api/v1/processes")).json["items"]) == 2


@pytest.mark.parametrize("path", ["agents/{}", "agents/{}/stats", "hosts/{}", "hosts/{}/facts", "hosts/{}/history"])
async def test_an_agent_that_is_not_the_users_is_as_one_that_is_not(
    served: Served, agent: WireAgent, path: str
) -> None:
    await two(served)
    token = await limited(served, MINE)
    hidden = await served.ask("GET", f"/api/v1/{path.format(HIDDEN)}", token=token)
    missing = await served.ask("GET", f"/api/v1/{path.format(NONE)}", token=token)
    assert told(hidden) == told(missing)
    assert hidden.status == 404
    assert (await served.ask("GET", f"/api/v1/{path.format(HIDDEN)}")).status == (404 if "facts" in path else 200)


@pytest.mark.parametrize(
    "body",
    [
        {"cmd": "ping"},
        {"cmd": "execute", "args": {"cmd": "x"}},
        {"cmd": "of-its-own-file"},
        {"cmd": "kill", "args": {"id": "theirs"}},
        {"cmd": "get_msgs"},
        {"cmd": "ping", "id": "theirs"},
        {"cmd": "ping", "id": "mine"},
    ],
)
async def test_a_job_for_a_hidden_agent_is_refused_as_for_none(
    served: Served, agent: WireAgent, body: dict[str, Any]
) -> None:
    await two(served)
    token = await limited(served, MINE)
    assert (await served.submit(target=HIDDEN, id="theirs")).status == 202
    assert (await served.submit(target=MINE, id="mine")).status == 202
    hidden = await served.ask("POST", "/api/v1/jobs", json={**body, "target": HIDDEN}, token=token)
    missing = await served.ask("POST", "/api/v1/jobs", json={**body, "target": NONE}, token=token)
    assert told(hidden) == told(missing)
    assert hidden.status in {404, 409, 422}
    assert (await served.ask("POST", "/api/v1/jobs", json={"cmd": "ping", "target": MINE}, token=token)).status == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "jobs/{}"),
        ("GET", "jobs/{}?wait=60"),
        ("DELETE", "jobs/{}"),
        ("GET", "jobs/{}/tasks"),
        ("GET", "jobs/{}/log"),
        ("GET", "jobs/{}/log?cursor=agent.0"),
        ("GET", "jobs/{}/tasks/1:8/runs"),
    ],
)
async def test_jobs_on_hidden_agents_are_not_there(served: Served, agent: WireAgent, method: str, path: str) -> None:
    await two(served)
    token = await limited(served, MINE)
    assert (await served.submit(target=HIDDEN, id="theirs")).status == 202
    assert (await served.submit(target=MINE, id="mine")).status == 202
    hidden = await served.ask(method, f"/api/v1/{path.format('theirs')}", token=token)
    missing = await served.ask(method, f"/api/v1/{path.format('missing')}", token=token)
    assert told(hidden) == told(missing)
    assert hidden.status == 404
    listed = (await served.ask("GET", "/api/v1/jobs", token=token)).json["items"]
    assert [one["id"] for one in listed] == ["mine"]
    assert (await served.ask("GET", "/api/v1/jobs/mine", token=token)).status == 200
    assert (await served.ask("GET", "/api/v1/jobs/theirs")).json["state"] == "QUEUED"


@pytest.mark.parametrize("agents", [None, [HIDDEN], [MINE, HIDDEN]])
async def test_nobody_gives_agents_that_he_lacks(served: Served, agents: list[str] | None) -> None:
    token = await limited(served, MINE)
    body = {"name": "bob", "agents": agents}
    assert (await served.ask("POST", "/api/v1/users", json=body, token=token)).status == 403
    assert (await served.ask("POST", "/api/v1/users", json={**body, "agents": [MINE]}, token=token)).status == 201
    assert (await served.ask("PATCH", "/api/v1/users/bob", json={"agents": agents}, token=token)).status == 403
    assert (await served.ask("PATCH", "/api/v1/users/bob", json={"agents": []}, token=token)).status == 200
    await served.ask("POST", "/api/v1/users", json={"name": "al", "agents": agents})
    assert (await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "al"}, token=token)).status == 403
    assert (await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "bob"}, token=token)).status == 201
