"""Series by our own API: found, asked for, put together by where hosts stand."""

import time
from typing import Any
from urllib.parse import urlencode

import pytest

from deployer.model.access import Role
from deployer.model.series import Series
from deployer.protocol.ids import AgentId
from deployer.protocol.times import iso
from support.seeded import COMPANY
from support.served import Reply, Served, WireAgent

NOW = int(time.time()) // 60 * 60
START = NOW - 3600
SPAN = (("from", START), ("to", NOW))


def series(name: str, value: float, count: int = 120) -> Series:
    return Series(name, START, 30, [value] * count)


@pytest.fixture(autouse=True)
def filled(served: Served) -> None:
    its = {"1.7": 7.0, "1.8": 8.0, "1.9": 9.0}
    served.source.put(COMPANY, *(series(f"agents.{one}.host.cpu", value) for one, value in its.items()))
    served.source.put(COMPANY, series("stats.gauges.a", 3), series("requests;dc=north", 1))
    served.source.put("other", series("secret.series", 1))


async def ask(served: Served, *fields: tuple[str, Any], path: str = "", **more: Any) -> Reply:
    return await served.ask("GET", f"/api/v1/metrics{path}?{urlencode(fields)}", **more)


def shown(reply: Reply) -> list[tuple[str, float]]:
    assert reply.status == 200, reply.body
    return [(one["name"], one["values"][-1]) for one in reply.json["items"]]


async def test_series_of_several_targets_are_shown_with_their_times(served: Served) -> None:
    reply = await ask(served, ("target", "agents.1.7.host.cpu"), ("target", "scale(stats.*.a,2)"), *SPAN)
    first, second = reply.json["items"]
    assert (reply.json["from"], reply.json["to"]) == (iso(START * 1000), iso(NOW * 1000))
    assert first == {
        "target": "agents.1.7.host.cpu",
        "name": "agents.1.7.host.cpu",
        "tags": {"name": "agents.1.7.host.cpu"},
        "at": iso(START * 1000),
        "epoch": START * 1000,
        "step": 30,
        "values": [7] * 120,
    }
    assert (second["target"], second["name"], second["values"][0]) == (
        "scale(stats.*.a,2)",
        "scale(stats.gauges.a,2)",
        6,
    )


async def test_times_are_iso_or_relative_and_points_as_few_as_asked(served: Served) -> None:
    times = (("from", iso(START * 1000)), ("to", iso((START + 600) * 1000)))
    (one,) = (await ask(served, ("target", "stats.gauges.a"), *times)).json["items"]
    assert len(one["values"]) == 20
    (one,) = (await ask(served, ("target", "stats.gauges.a"), ("from", "-15min"), ("points", 5))).json["items"]
    assert len(one["values"]) <= 5


async def place(served: Served, nid: int, **traits: Any) -> None:
    agent = WireAgent(served, AgentId(1, nid))
    assert (await agent.join(served.seeded.join_token.text)).status == 200
    assert (await served.ask("PATCH", f"/api/v1/agents/1:{nid}", json=traits)).status == 200


async def test_series_are_put_together_by_where_hosts_stand_and_what_they_are_for(served: Served) -> None:
    await place(served, 7, rack="r1", zone="z", roles=["web", "db"])
    await place(served, 8, rack="r1", zone="z", roles=["web"])
    target = (("target", "agents.*.*.host.cpu"), *SPAN)
    assert shown(await ask(served, *target, ("group_by", "rack"))) == [("-", 9), ("r1", 7.5)]
    assert shown(await ask(served, *target, ("group_by", "rack"), ("how", "sum"))) == [("-", 9), ("r1", 15)]
    assert shown(await ask(served, *target, ("group_by", "zone"), ("how", "max"))) == [("-", 9), ("z", 8)]
    assert shown(await ask(served, *target, ("group_by", "role"), ("how", "min"))) == [("-", 9), ("db", 7), ("web", 7)]
    assert shown(await ask(served, *target, ("group_by", "agent")))[1:] == [("1:7", 7), ("1:8", 8)]
    assert shown(await ask(served, ("target", "stats.gauges.a"), *SPAN, ("group_by", "rack"))) == [("-", 3)]
    renamed = (("target", "alias(agents.1.7.host.cpu,'x')"), *SPAN)
    assert shown(await ask(served, *renamed, ("group_by", "rack"))) == [("r1", 7)]


async def test_paths_are_found_page_by_page(served: Served) -> None:
    found = (await ask(served, ("query", "*"), path="/find")).json
    assert found == {
        "items": [
            {"path": "agents", "name": "agents", "series": False, "more": True},
            {"path": "stats", "name": "stats", "series": False, "more": True},
        ],
        "next": None,
    }
    paths, cursor = [], ()
    while True:
        page = (await ask(served, ("query", "agents.1.*.host.cpu"), ("limit", 2), *cursor, path="/find")).json
        paths += [one["path"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = (("cursor", page["next"]),)
    assert paths == [f"agents.1.{nid}.host.cpu" for nid in (7, 8, 9)]


async def test_other_companies_and_other_agents_are_not_seen(served: Served) -> None:
    foreign = await served.token_of("olga", Role.OWNER, "other")
    assert shown(await ask(served, ("target", "agents.*.*.host.cpu"), *SPAN, token=foreign)) == []
    assert (await ask(served, path="/find", token=foreign)).json["items"][0]["path"] == "secret"
    limited = {"name": "ann", "role": "viewer", "agents": ["1:8"]}
    assert (await served.ask("POST", "/api/v1/users", json=limited)).status == 201
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "t", "user": "ann"})).json["token"]
    every = (("target", "agents.*.*.host.cpu"), ("target", "stats.gauges.a"), ("target", "seriesByTag('dc=north')"))
    assert shown(await ask(served, *every, *SPAN, token=token)) == [("agents.1.8.host.cpu", 8)]


@pytest.mark.parametrize(
    "fields",
    [
        (("target", "scale("),), (("target", "nope(a)"),), (("target", ""),), (("target", "a"), ("from", "x")),
        (("target", "a"), ("from", "now"), ("to", "-1h")), (("target", "a"), ("from", "2026-11-28T01:02:03")),
        (("target", "a"), ("from", "2026-13-28T01:02:03Z")), (("target", "a"), ("points", 0)),
        (("target", "a"), ("points", 20000)), (("target", "a"), ("group_by", "name")), (("target", "a"), ("how", "x")),
        (("nope", "a"),), (("from", "-1h"), ("from", "-2h")), (("target", "a"),) * 101,
    ],
)  # fmt: skip
async def test_what_is_asked_wrongly_is_refused(served: Served, fields: Any) -> None:
    reply = await ask(served, *fields)
    assert (reply.status, reply.code) == (400, "malformed")


async def test_patterns_and_cursors_that_are_none_are_refused(served: Served) -> None:
    for fields in ((("query", "*." * 40),), (("query", "{a,b}" * 20),), (("cursor", "~~"),), (("cursor", "_w"),)):
        assert (await ask(served, *fields, path="/find")).status == 400, fields


async def test_an_answer_with_too_many_points_is_refused(served: Served) -> None:
    served.source.put(COMPANY, *(series(f"many.{one}", 1) for one in range(100)))
    reply = await ask(served, ("target", "many.*"), ("from", START - 86400), ("to", NOW), ("points", 11000))
    assert "fewer" in reply.json["detail"]
