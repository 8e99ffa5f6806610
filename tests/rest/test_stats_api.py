"""Numbers that agents post, and what is shown of them as current."""

import time
from typing import Any

import pytest

from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.protocol.stats import MAX_STATS_BYTES, slot
from deployer.protocol.times import iso
from deployer.protocol.wire import MEDIA_TYPE
from deployer.stores import keys
from deployer.stores.points import Points
from deployer.stores.tokens import USER, Token, Tokens
from support.seeded import COMPANY
from support.served import Served, WireAgent

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
    assert (await served.ask("GET", "/api/v1/agents/1:7/stats", token=viewer.text)).status == 200
    assert (await served.ask("GET", "/api/v1/agents/1:7/stats", token=None)).status == 401
