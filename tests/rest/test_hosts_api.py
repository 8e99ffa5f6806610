"""Hosts that agents describe, and how they are shown."""

import hashlib
from typing import Any

import msgspec
import pytest

from deployer.model.access import Role
from deployer.protocol.facts import MAX_FACTS_BYTES, encode
from deployer.protocol.ids import AgentId
from deployer.protocol.wire import MEDIA_TYPE
from deployer.rest import fleet
from deployer.stores import keys
from deployer.stores.tokens import USER, Token, Tokens
from support.hosts import GIB, HOST, changed
from support.seeded import COMPANY
from support.served import Served, WireAgent

BODY: dict[str, Any] = msgspec.to_builtins(HOST)
PATHS = ("/api/v1/hosts/1:7", "/api/v1/hosts/1:7/facts", "/api/v1/hosts/1:7/history")


async def test_a_host_is_shown_in_the_words_of_the_schema(served: Served, agent: WireAgent) -> None:
    for _ in range(2):
        reply = await agent.post("facts", BODY)
        assert (reply.status, reply.json, reply.header("content-type")) == (200, {"version": 1}, MEDIA_TYPE)
    shown = (await served.ask("GET", PATHS[0])).json
    sha = hashlib.sha256(encode(HOST)).hexdigest()
    assert shown.pop("first_seen")
    assert shown.pop("last_seen")
    assert shown == {
        "id": "1:7",
        "href": "/api/v1/hosts/1:7",
        "agent": {"gid": 1, "nid": 7, "href": "/api/v1/agents/1:7"},
        "state": "online",
        "name": "web1",
        "cpu": "Fast One",
        "cores": 4,
        "memory": 17.18,
        "os": "linux",
        "roles": [],
        "labels": {},
        "rack": None,
        "zone": None,
        "datacenter": None,
        "region": None,
        "facts": {"href": "/api/v1/hosts/1:7/facts", "sha256": sha, "current": BODY},
        "versions": {"href": "/api/v1/hosts/1:7/history", "count": 1},
    }
    assert (await served.ask("GET", shown["facts"]["href"])).json == BODY
    (listed,) = [one for one in (await served.ask("GET", "/api/v1/hosts")).json["items"] if one["id"] == "1:7"]
    assert (listed["memory"], listed["facts"]) == (17.18, {"href": "/api/v1/hosts/1:7/facts", "sha256": sha})


async def test_an_agent_refers_to_its_host(served: Served, agent: WireAgent) -> None:
    listed = (await served.ask("GET", "/api/v1/agents")).json["items"]
    hrefs = [one["host"]["href"] for one in listed]
    assert hrefs == ["/api/v1/hosts/1:1", "/api/v1/hosts/1:7"]
    assert [(await served.ask("GET", href)).status for href in hrefs] == [200, 200]


async def test_a_host_that_has_told_nothing_yet_is_there_with_nulls(served: Served, agent: WireAgent) -> None:
    shown = (await served.ask("GET", PATHS[0])).json
    assert [shown[field] for field in ("name", "cpu", "cores", "memory", "os")] == ["h", None, None, None, None]
    assert (shown["facts"]["sha256"], shown["facts"]["current"], shown["versions"]["count"]) == (None, None, 0)
    assert (await served.ask("GET", PATHS[1])).status == 404
    assert (await served.ask("GET", PATHS[2])).json == {"items": [], "next": None}


async def test_what_changed_is_told_newest_first_in_pages(served: Served, agent: WireAgent) -> None:
    for facts in (HOST, changed(agent="0.2.0"), changed(agent="0.3.0", memory={"total": 8 * GIB})):
        await agent.post("facts", msgspec.to_builtins(facts))
    page = (await served.ask("GET", f"{PATHS[2]}?limit=2")).json
    assert [(one["n"], one["more"], one["changes"]) for one in page["items"]] == [
        (
            3,
            0,
            [
                {"path": "/agent", "old": "0.2.0", "new": "0.3.0"},
                {"path": "/memory/total", "old": 16 * GIB, "new": 8 * GIB},
            ],
        ),
        (2, 0, [{"path": "/agent", "old": "0.1.0", "new": "0.2.0"}]),
    ]
    assert page["items"][0]["at"].endswith("Z")
    assert page["items"][0]["epoch"] > 1_600_000_000_000
    rest = (await served.ask("GET", f"{PATHS[2]}?limit=2&cursor={page['next']}")).json
    assert ([(one["n"], one["changes"]) for one in rest["items"]], rest["next"]) == ([(1, [])], None)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({**BODY, "boot_time": -1}, 422, "/boot_time"),
        ({**BODY, "hostname": "a\nb"}, 422, "/hostname"),
        ({**BODY, "mounts": BODY["mounts"] * 2}, 422, ""),
        ({**BODY, "interfaces": [{**BODY["interfaces"][0], "name": ""}]}, 422, "/interfaces/0/name"),
        ({**BODY, "cpu": {**BODY["cpu"], "flags": ["x"] * 513}}, 422, "/cpu/flags"),
        ({}, 422, "/hostname"),
        ({**BODY, "pad": "x" * MAX_FACTS_BYTES}, 400, None),
    ],
)
async def test_what_describes_no_host_is_refused(
    served: Served, agent: WireAgent, body: Any, status: int, pointer: str | None
) -> None:
    reply = await agent.post("facts", body)
    assert (reply.status, reply.pointers) == (status, [] if pointer is None else [pointer])
    assert await served.seeded.redis.call("EXISTS", keys.host(agent.agent)) == 0


async def test_facts_of_a_newer_agent_are_taken_as_far_as_they_are_known(served: Served, agent: WireAgent) -> None:
    assert (await agent.post("facts", {**BODY, "colour": "blue"})).status == 200
    assert (await served.ask("GET", PATHS[1])).json == BODY


async def test_facts_need_the_agents_own_session_and_media_type(served: Served, agent: WireAgent) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await served.ask("POST", "/1/7/facts", token=agent.session, data=b"{}", headers=headers)).status == 415
    assert (await served.ask("POST", "/1/1/facts", token=agent.session, data=b"{}")).status == 403
    assert (await served.ask("POST", "/1/7/facts", data=b"{}")).status == 401
    assert (await served.ask("GET", "/1/7/facts", token=agent.session)).status == 405


async def test_foreign_and_missing_hosts_are_told_alike(served: Served, agent: WireAgent) -> None:
    await agent.post("facts", BODY)
    foreign, viewer = Token.new(USER), Token.new(USER)
    await Tokens(served.seeded.redis).add_user_token(foreign, "other", "mallory", Role.OWNER)
    await Tokens(served.seeded.redis).add_user_token(viewer, COMPANY, "eve", Role.VIEWER)
    for tail in ("", "/facts", "/history"):
        answers = [
            await served.ask("GET", f"/api/v1/hosts/{one}{tail}", token=foreign.text) for one in ("1:7", "1:99", "x")
        ]
        assert {(one.status, one.json["detail"]) for one in answers} == {(404, "this host does not exist")}
    for path in ("/api/v1/hosts", "/api/v1/hosts?name=web1"):
        assert (await served.ask("GET", path, token=foreign.text)).json["items"] == []
    for path in ("/api/v1/hosts", *PATHS):
        assert (await served.ask("GET", path, token=viewer.text)).status == 200
        assert (await served.ask("GET", path, token=None)).status == 401


async def _fleet(served: Served, count: int) -> None:
    for nid in range(2, count + 2):
        made = WireAgent(served, AgentId(1, nid))
        assert (await made.join(served.seeded.join_token.text)).status == 200
        assert (await made.open()).status == 200
        facts = changed(hostname="odd" if nid % 2 else "even", boot_time=nid)
        assert (await made.post("facts", msgspec.to_builtins(facts))).status == 200


async def _pages(served: Served, query: str) -> list[list[str]]:
    pages, cursor = [], ""
    while True:
        page = await served.ask("GET", f"/api/v1/hosts?{query}{cursor}")
        assert page.status == 200, page.body
        pages.append([one["id"] for one in page.json["items"]])
        if page.json["next"] is None:
            return pages
        cursor = f"&cursor={page.json['next']}"


async def test_hosts_come_in_pages_and_are_found_by_name(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "READ", 3)
    await _fleet(served, 9)
    everyone = [f"1:{nid}" for nid in range(1, 11)]
    assert await _pages(served, "limit=4") == [everyone[:4], everyone[4:8], everyone[8:]]
    assert await _pages(served, "limit=5") == [everyone[:5], everyone[5:]]
    assert await _pages(served, "limit=2&name=odd") == [["1:3", "1:5"], ["1:7", "1:9"]]
    assert await _pages(served, "name=nobody") == [[]]
    by_name = ["1:2", "1:4", "1:6", "1:8", "1:10", "1:1", "1:3", "1:5", "1:7", "1:9"]
    for limit in (3, 10):
        for sort, wanted in (("name", by_name), ("-name", by_name[::-1])):
            pages = await _pages(served, f"sort={sort}&limit={limit}")
            assert [one for page in pages for one in page] == wanted
    assert await _pages(served, "sort=-name&name=even&limit=4") == [["1:10", "1:8", "1:6", "1:4"], ["1:2"]]
    monkeypatch.setattr(fleet, "A_PAGE", 4)
    assert await _pages(served, "name=odd") == [["1:3"], ["1:5", "1:7"], ["1:9"]]


@pytest.mark.parametrize("query", ["limit=0", "cursor=x", "cursor=1", "more=1", f"name={'x' * 300}"])
async def test_a_query_of_hosts_that_is_none_is_malformed(served: Served, query: str) -> None:
    assert (await served.ask("GET", f"/api/v1/hosts?{query}")).status == 400


async def test_a_cursor_of_a_history_that_was_not_made_here_is_malformed(served: Served, agent: WireAgent) -> None:
    for cursor in ("x", "-1", "9" * 16):
        assert (await served.ask("GET", f"{PATHS[2]}?cursor={cursor}")).status == 400
