"""Numbers that agents post, and what is shown of them as current."""

import time
from typing import Any

import pytest

from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.protocol.stats import MAX_STATS_BYTES, slot
from deployer.protocol.times import iso
from deployer.protocol.wire import MEDIA_TYPE
from deployer.rest import processes
from deployer.stores import keys
from deployer.stores.points import Points
from deployer.stores.tokens import USER, Token, Tokens
from support.seeded import COMPANY
from support.served import Reply, Served, WireAgent

BOOT = "a" * 32
CPU = ["", "", "cpu", "average", 12.5]
RSS = ["web", "nginx", "rss", "last", 1024]


def batch(*flushes: dict[str, Any], seq: int = 1) -> dict[str, Any]:
    return {"boot": BOOT, "seq": seq, "flushes": list(flushes)}


def flush(*points: list[Any], at: int | None = None, step: int = 30) -> dict[str, Any]:
    return {"at": slot(time.time(), step) if at is None else at, "step": step, "points": list(points)}


async def _length(served: Served) -> int:
    return int(await served.seeded.redis.call("XLEN", keys.points(COMPANY)))


async def test_an_agents_numbers_are_shown_and_kept_for_the_metric_store(served: Served, agent: WireAgent) -> None:
    sent = flush(CPU, RSS, ["web", "nginx", "load.time.mean", "average", 0.5], ["db", "pg", "rss", "last", 7])
    for _ in range(2):
        reply = await agent.post("stats", batch(sent))
        assert (reply.status, reply.json, reply.header("content-type")) == (200, {"acked": 1}, MEDIA_TYPE)
    assert (await served.ask("GET", "/api/v1/agents/1:7/stats")).json == {
        "agent": {"gid": 1, "nid": 7, "href": "/api/v1/agents/1:7"},
        "at": iso(sent["at"] * 1000),
        "epoch": sent["at"] * 1000,
        "step": 30,
        "host": {"cpu": 12.5},
        "processes": [
            {"domain": "db", "name": "pg", "rss": 7},
            {"domain": "web", "name": "nginx", "rss": 1024, "load.time.mean": 0.5},
        ],
    }
    (entry,) = await Points(served.seeded.redis).entries(COMPANY, "-", 10)
    assert (entry.agent, [len(one.points) for one in entry.flushes]) == (AgentId(1, 7), [4])


async def test_an_agent_that_has_said_nothing_shows_nothing(served: Served, agent: WireAgent) -> None:
    shown = (await served.ask("GET", "/api/v1/agents/1:7/stats")).json
    del shown["agent"]
    assert shown == {"at": None, "epoch": None, "step": None, "host": {}, "processes": []}


async def test_numbers_of_an_impossible_time_are_dropped_and_not_refused(served: Served, agent: WireAgent) -> None:
    now = slot(time.time(), 30)
    ahead, past, fine = (flush(CPU, at=at) for at in (now + 3690, now - 8 * 86400 - 30, now))
    assert (await agent.post("stats", batch(ahead, past))).json == {"acked": 1}
    assert await _length(served) == 0
    assert (await agent.post("stats", batch(past, fine, ahead, seq=2))).json == {"acked": 2}
    (entry,) = await Points(served.seeded.redis).entries(COMPANY, "-", 10)
    assert [one.at for one in entry.flushes] == [now]
    assert (await served.ask("GET", "/api/v1/agents/1:7/stats")).json["epoch"] == now * 1000


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (batch(flush(CPU, at=61)), 422, "/flushes/0/at"),
        (batch(flush(["", "", "a b", "sum", 1])), 422, "/flushes/0"),
        (batch(flush(["", "", "a", "sum", None])), 422, "/flushes/0/points/0/4"),
        ({"boot": BOOT, "seq": 0, "flushes": []}, 422, "/seq"),
        ([1], 422, ""),
        ({"boot": BOOT, "seq": 1, "flushes": [], "pad": "x" * MAX_STATS_BYTES}, 400, None),
    ],
)
async def test_what_is_no_batch_is_refused(
    served: Served, agent: WireAgent, body: Any, status: int, pointer: str | None
) -> None:
    reply = await agent.post("stats", body)
    assert reply.status == status
    assert reply.pointers == ([] if pointer is None else [pointer])
    assert await _length(served) == 0


async def test_numbers_need_the_agents_own_session_and_media_type(served: Served, agent: WireAgent) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await served.ask("POST", "/1/7/stats", token=agent.session, data=b"{}", headers=headers)).status == 415
    assert (await served.ask("POST", "/1/1/stats", token=agent.session, data=b"{}")).status == 403
    assert (await served.ask("POST", "/1/7/stats", data=b"{}")).status == 401
    assert (await served.ask("GET", "/1/7/stats", token=agent.session)).status == 405


async def test_foreign_and_missing_agents_are_told_alike(served: Served, agent: WireAgent) -> None:
    await agent.post("stats", batch(flush(CPU, RSS)))
    foreign, viewer = Token.new(USER), Token.new(USER)
    await Tokens(served.seeded.redis).add_user_token(foreign, "other", "mallory", Role.OWNER)
    await Tokens(served.seeded.redis).add_user_token(viewer, COMPANY, "eve", Role.VIEWER)
    answers = [
        await served.ask("GET", f"/api/v1/agents/{one}/stats", token=foreign.text) for one in ("1:7", "1:99", "x")
    ]
    assert {(one.status, one.json["detail"]) for one in answers} == {(404, "this agent does not exist")}
    for query in ("", "?gid=1&nid=7"):
        assert (await served.ask("GET", f"/api/v1/processes{query}", token=foreign.text)).json["items"] == []
    assert (await served.ask("GET", "/api/v1/agents/1:7/stats", token=viewer.text)).status == 200
    assert len((await served.ask("GET", "/api/v1/processes", token=viewer.text)).json["items"]) == 1
    for path in ("/api/v1/agents/1:7/stats", "/api/v1/processes"):
        assert (await served.ask("GET", path, token=None)).status == 401


async def _fleet(served: Served, agents: int, names: int) -> None:
    """Agents 1:2 to 1:n, each with processes of its own beside its host."""
    for nid in range(2, agents + 2):
        made = WireAgent(served, AgentId(1, nid))
        assert (await made.join(served.seeded.join_token.text)).status == 200
        assert (await made.open()).status == 200
        points = [["d" if n % 2 else 'é "', f"n{n}", "rss", "last", n] for n in range(names)]
        assert (await made.post("stats", batch(flush(CPU, *points)))).status == 200


async def _pages(served: Served, query: str) -> list[list[tuple[int, str, str]]]:
    pages, cursor = [], ""
    while True:
        page = await served.ask("GET", f"/api/v1/processes?{query}{cursor}")
        assert page.status == 200, page.body
        pages.append([(one["agent"]["nid"], one["domain"], one["name"]) for one in page.json["items"]])
        if page.json["next"] is None:
            return pages
        cursor = f"&cursor={page.json['next']}"


async def test_processes_of_all_agents_come_in_pages(served: Served) -> None:
    await _fleet(served, 12, 5)
    item = (await served.ask("GET", "/api/v1/processes?limit=1")).json["items"][0]
    assert (item["agent"], item["domain"], item["name"]) == (
        {"gid": 1, "nid": 2, "href": "/api/v1/agents/1:2"},
        "d",
        "n1",
    )
    assert (item["values"], item["step"], item["at"]) == ({"rss": 1}, 30, iso(item["epoch"]))
    whole = await _pages(served, "limit=1000")
    assert [len(page) for page in whole] == [60]
    assert whole[0] == sorted(whole[0])
    for limit in (1, 7, 60):
        pages = await _pages(served, f"limit={limit}")
        assert [row for page in pages for row in page] == whole[0]
        assert all(len(page) == limit for page in pages[:-1])


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
        ("domain=", 0),
        ("domain=null", 0),
    ],
)
async def test_processes_are_found_by_agent_domain_and_name(served: Served, query: str, count: int) -> None:
    await _fleet(served, 12, 5)
    rows = [row for page in await _pages(served, f"{query}&limit=4") for row in page]
    assert len(rows) == len(set(rows)) == count


async def test_a_page_that_has_looked_at_many_agents_goes_on_in_the_next(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "AGENTS_A_PAGE", 5)
    await _fleet(served, 12, 1)
    assert [len(page) for page in await _pages(served, "nid=13")] == [0, 0, 1]
    assert [len(page) for page in await _pages(served, "limit=9")] == [4, 5, 3]


async def test_a_process_that_comes_or_goes_between_pages_hides_no_other(served: Served, agent: WireAgent) -> None:
    async def post(seq: int, *names: str) -> Reply:
        await served.seeded.redis.call("DEL", keys.current(agent.agent))
        return await agent.post("stats", batch(flush(*(["d", name, "rss", "last", 1] for name in names)), seq=seq))

    await post(1, "b", "c", "d", "e")
    first = (await served.ask("GET", "/api/v1/processes?limit=2")).json
    for seq, names, rest in ((2, "abcde", "de"), (3, "cde", "de"), (4, "bde", "de"), (5, "bc", "")):
        await post(seq, *names)
        page = (await served.ask("GET", f"/api/v1/processes?limit=9&cursor={first['next']}")).json
        assert "".join(one["name"] for one in page["items"]) == rest


@pytest.mark.parametrize(
    "query",
    ["limit=0", "gid=0", "gid=x", "nid=2147483648", "cursor=x", "cursor=0.1", "cursor=1.1.1", "more=1", "name=%00"],
)
async def test_a_query_that_is_none_is_malformed(served: Served, query: str) -> None:
    assert (await served.ask("GET", f"/api/v1/processes?{query}")).status == 400
