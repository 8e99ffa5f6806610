"""Processes: what agents list as running, and what their results tell of those that have ended."""

from typing import Any

import pytest

from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.protocol.processes import MAX_PROCESSES, MAX_PROCESSES_BYTES
from deployer.rest import processes
from deployer.stores import keys
from deployer.telemetry.processes import LISTS, LISTS_S
from support.livelists import STARTED, listing, live
from support.served import Served, WireAgent

EXECUTE = {"cmd": "execute", "target": "1:7", "args": {"cmd": "/bin/true", "domain": "web", "name": "nginx"}}


async def _jobs(served: Served, *names: str, **more: Any) -> None:
    for name in names:
        reply = await served.ask("POST", "/api/v1/jobs", json={**EXECUTE, "id": name}, **more)
        assert reply.status == 202, reply.body


async def _items(served: Served, query: str = "", **more: Any) -> list[dict[str, Any]]:
    page = await served.ask("GET", f"/api/v1/processes{query}", **more)
    assert page.status == 200, page.body
    assert page.json["next"] is None
    found: list[dict[str, Any]] = page.json["items"]
    return found


async def test_a_process_that_runs_is_shown_with_its_pid_its_user_and_what_it_consumes(
    served: Served, agent: WireAgent
) -> None:
    await _jobs(served, "j1", token=await served.token_of("olga", Role.OPERATOR))
    sampled = live("j1", run=3, pid=77, values={"rss": 1024, "cpu": 1.5})
    reply = await agent.post("processes", listing(sampled, live(":startup:web", pid=78)))
    assert (reply.status, reply.json) == (200, {"kept": 2})
    job, own = await _items(served)
    assert job.pop("heard") > "2026"
    reference = {"gid": 1, "nid": 7, "href": "/api/v1/agents/1:7"}
    assert job == {
        "id": "j1@1:7.3",
        "href": "/api/v1/processes/j1@1:7.3",
        "pid": "77",
        "state": "running",
        "user": {"id": "olga", "href": "/api/v1/users/olga"},
        "agent": reference,
        "job": {"id": "j1", "href": "/api/v1/jobs/j1"},
        "domain": "web",
        "name": "nginx",
        "run": 3,
        "started": "2023-11-14T22:13:20.000Z",
        "values": {"rss": 1024, "cpu": 1.5},
        "at": "2023-11-14T22:13:30.000Z",
        "epoch": STARTED + 10_000,
        "step": 30,
        **dict.fromkeys(("ended", "time", "code", "reason", "exit_status", "signal")),
    }
    assert (own["id"], own["user"], own["job"], own["at"], own["values"]) == (
        ":startup:web@1:7.1",
        None,
        None,
        None,
        {},
    )
    shown = (await served.ask("GET", job["href"])).json
    assert shown | {"heard": ""} == job | {"heard": ""}


async def test_the_newest_list_replaces_the_one_before(served: Served, agent: WireAgent) -> None:
    for names in (("a", "b"), ("b",), ()):
        assert (await agent.post("processes", listing(*map(live, names)))).status == 200
        assert [one["id"] for one in await _items(served)] == [f"{name}@1:7.1" for name in names]


async def test_a_process_is_kept_after_its_end_as_long_as_its_job(served: Served, agent: WireAgent) -> None:
    await _jobs(served, "j1", "j2", "j3", "never")
    assert [one["id"] for one in await agent.poll()] == ["j1", "j2", "j3", "never"]
    accepted = await agent.post("accept", {"accepted": ["j1", "j2", "j3", "never"]})
    assert set(accepted.json["verdicts"]) == {"START"}
    timed = {"starttime": STARTED, "time": 250}
    runs = [{"id": "j2", "run": run, "state": "ERROR", "pid": 100 + run, **timed} for run in (1, 2)]
    results = [
        {"id": "j1", "state": "OK", "pid": 77, "exit_status": 0, **timed},
        {"id": "j2", "run": 3, "state": "KILLED", "code": "KILLED", "signal": "SIGTERM", "pid": 103, **timed},
        {"id": "never", "state": "ERROR", "code": "NOT_ALLOWED"},
    ]
    assert (await agent.post("result", {"results": results, "runs": runs})).status == 200
    items = await _items(served, "?state=ended")
    assert [(one["id"], one["pid"]) for one in items] == [
        ("j2@1:7.1", "101"),
        ("j2@1:7.2", "102"),
        ("j2@1:7.3", "103"),
        ("j1@1:7.1", "77"),
    ]
    last, first = items[2], items[3]
    assert (last["state"], last["code"], last["signal"]) == ("ended", "KILLED", "SIGTERM")
    assert (first["exit_status"], first["time"], first["values"], first["heard"]) == (0, 250, {}, None)
    assert (first["started"], first["ended"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.250Z")
    assert (first["domain"], first["name"], first["user"]["id"]) == ("web", "nginx", "admin")
    for one in items:
        assert (await served.ask("GET", one["href"])).json == one
    assert [one["id"] for one in await _items(served, "?state=ended&job=j1")] == ["j1@1:7.1"]
    assert await _items(served, "?state=ended&job=none") == []
    assert await _items(served, "?state=ended&user=nobody") == []
    assert await _items(served, "?state=ended&name=other") == []
    for gone in ("never@1:7.1", "j1@1:7.2", "j1@1:8.1", "none@1:7.1", "j1", "j1@1:7.0", "@1:7.1", "j1@x.1"):
        assert (await served.ask("GET", f"/api/v1/processes/{gone}")).status == 404, gone


async def test_ended_processes_come_in_pages(served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"j{n}" for n in range(7)]
    await _jobs(served, *names)
    await agent.poll()
    await agent.post("accept", {"accepted": names})
    runs = [{"id": name, "run": 1, "state": "OK", "pid": 5, "starttime": STARTED} for name in names]
    results = [{"id": name, "run": 2, "state": "OK", "pid": 6, "starttime": STARTED} for name in names]
    await agent.post("result", {"results": results, "runs": runs})
    whole = [one["id"] for one in await _items(served, "?state=ended")]
    assert len(whole) == 14
    for limit in (1, 3, 14):
        assert await _pages(served, f"state=ended&limit={limit}") == whole
    monkeypatch.setattr(processes, "COST_A_PAGE", 2)
    assert await _pages(served, "state=ended&limit=3") == whole


async def _pages(served: Served, query: str) -> list[str]:
    found, cursor = [], ""
    while True:
        page = (await served.ask("GET", f"/api/v1/processes?{query}{cursor}")).json
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def _fleet(served: Served, agents: int, names: int) -> None:
    """Agents 1:2 to 1:n with processes."""
    for nid in range(2, agents + 2):
        made = WireAgent(served, AgentId(1, nid))
        assert (await made.join(served.seeded.join_token.text)).status == 200
        assert (await made.open()).status == 200
        listed = [live(f"t{n}", domain="d" if n % 2 else 'é "', name=f"n{n}") for n in range(names)]
        assert (await made.post("processes", listing(*listed))).status == 200


async def test_processes_of_all_agents_come_in_pages(served: Served) -> None:
    await _fleet(served, 12, 5)
    whole = [one["id"] for one in await _items(served, "?limit=1000")]
    assert whole == [f"t{n}@1:{nid}.1" for nid in range(2, 14) for n in range(5)]
    for limit in (1, 7, 60):
        assert await _pages(served, f"limit={limit}") == whole


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("gid=1", 60),
        ("gid=1&nid=3", 5),
        ("nid=3", 5),
        ("gid=1&nid=99", 0),
        ("gid=2", 0),
        ("domain=d", 24),
        ("domain=d&name=n1", 12),
        ("name=n4&gid=1&nid=13", 1),
        ("job=t2", 12),
        ("user=admin", 0),
        ("domain=", 0),
        ("domain=null", 0),
    ],
)
async def test_processes_are_found_by_agent_domain_name_and_job(served: Served, query: str, count: int) -> None:
    await _fleet(served, 12, 5)
    rows = await _pages(served, f"{query}&limit=4")
    assert len(rows) == len(set(rows)) == count


async def test_a_page_that_has_looked_at_many_agents_goes_on_in_the_next(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "AGENTS_A_PAGE", 10)
    await _fleet(served, 12, 1)
    page = (await served.ask("GET", "/api/v1/processes?nid=13")).json
    assert (page["items"], page["next"]) == ([], "1.10")
    assert await _pages(served, "nid=13") == ["t0@1:13.1"]


async def test_a_process_that_comes_or_goes_between_pages_hides_no_other(served: Served, agent: WireAgent) -> None:
    async def post(names: str) -> None:
        assert (await agent.post("processes", listing(*map(live, names)))).status == 200

    await post("bcde")
    first = (await served.ask("GET", "/api/v1/processes?limit=2")).json
    for names, rest in (("abcde", "de"), ("cde", "de"), ("bde", "de"), ("bc", "")):
        await post(names)
        page = (await served.ask("GET", f"/api/v1/processes?limit=9&cursor={first['next']}")).json
        assert "".join(one["job"]["id"] for one in page["items"]) == rest


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "gid=0", "gid=x", "nid=2147483648", "cursor=x", "cursor=1.1.1", "more=1", "name=%00"),
        *("state=dead", "state=ended&cursor=1.1", "state=ended&cursor=x~y~1", "job=a:b"),
    ],
)
async def test_a_query_that_is_none_is_malformed(served: Served, query: str) -> None:
    assert (await served.ask("GET", f"/api/v1/processes?{query}")).status == 400


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (listing(live("a b")), 422, "/processes/0/0"),
        (listing(live("a", run=0)), 422, "/processes/0/1"),
        (listing(live("a", pid=0)), 422, "/processes/0/2"),
        (listing(live("a", name="\0")), 422, "/processes/0/5"),
        (listing(live("a", values={"a b": 1})), 422, "/processes/0/8"),
        (listing(live("a", values={f"v{n}": 1 for n in range(65)})), 422, "/processes/0/8"),
        (listing(*[live("a")] * (MAX_PROCESSES + 1)), 422, "/processes"),
        ({"processes": [], "x": 1}, 422, "/x"),
        ({"processes": [], "pad": "x" * MAX_PROCESSES_BYTES}, 400, None),
    ],
)
async def test_what_is_no_list_is_refused(
    served: Served, agent: WireAgent, body: Any, status: int, pointer: str | None
) -> None:
    assert (await agent.post("processes", listing(live("kept")))).status == 200
    reply = await agent.post("processes", body)
    assert (reply.status, [one[:14] for one in reply.pointers]) == (status, [] if pointer is None else [pointer[:14]])
    assert [one["id"] for one in await _items(served)] == ["kept@1:7.1"]


async def test_a_list_needs_the_agents_own_session(served: Served, agent: WireAgent) -> None:
    assert (await served.ask("POST", "/1/1/processes", token=agent.session, data=b"{}")).status == 403
    assert (await served.ask("POST", "/1/7/processes", data=b"{}")).status == 401
    assert (await served.ask("GET", "/1/7/processes", token=agent.session)).status == 405


async def test_processes_of_another_company_are_as_none(served: Served, agent: WireAgent) -> None:
    await agent.post("processes", listing(live("there")))
    foreign = await served.token_of("mallory", Role.OWNER, "other")
    for query in ("", "?gid=1&nid=7", "?state=ended"):
        assert await _items(served, query, token=foreign) == []
    answers = [await served.ask("GET", f"/api/v1/processes/{one}@1:7.1", token=foreign) for one in ("there", "not")]
    assert {(one.status, one.json["detail"]) for one in answers} == {(404, "this process does not exist")}


async def test_a_list_that_is_damaged_in_redis_is_as_none(served: Served, agent: WireAgent) -> None:
    await agent.post("processes", listing(live("there")))
    await served.seeded.redis.call("SET", keys.processes(agent.agent), b"\xff{")
    assert await _items(served) == []
    assert (await served.ask("GET", "/api/v1/processes/there@1:7.1")).status == 404


async def test_an_agent_that_floods_with_lists_is_asked_to_wait(served: Served, agent: WireAgent) -> None:
    for _ in range(LISTS):
        assert (await agent.post("processes", listing())).status == 200
    reply = await agent.post("processes", listing(live("late")))
    assert (reply.status, reply.code) == (429, "too_many")
    assert int(str(reply.header("retry-after"))) <= LISTS_S
    assert await _items(served) == []
