import csv
import io
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import ResponseFailed

from deployer.model.access import Role
from deployer.protocol.messages import StoredMessage
from deployer.rest.loganswers import LoggedMessage, as_csv, as_text
from deployer.stores.logs import Logs, Said
from deployer.telemetry.loglines import Filter, Place, named
from deployer.telemetry.logsearch import LogSearch, Wanted
from support.events import Events
from support.seeded import COMPANY, Seeded
from support.served import Served, WireAgent

EPOCH = 1_763_859_723_456


def message(text: str, level: int = 1, agent: str = "1:7", task: str = "", **more: Any) -> StoredMessage:
    return StoredMessage(task, agent, level, 1, EPOCH, text, **more)


async def say(seeded: Seeded, stream: str, *messages: StoredMessage) -> None:
    """One entry, in a ms of its own."""
    logs = Logs(seeded.redis)
    before = (await logs.grown(COMPANY, 2**53)).now
    while (await logs.grown(COMPANY, 2**53)).now <= before:
        pass
    assert await logs.append(COMPANY, [Said(stream, len(messages), msgspec.json.encode(messages))]) == 0


async def fill(served: Served) -> None:
    seeded = served.seeded
    await say(seeded, "log.web.nginx", message("GET /", task="job"), message("Broken Pipe", 8, task="job"))
    await say(seeded, "log.syslog.sshd", message("refused", 7, agent="", host="gate", more={"facility": "auth"}))
    await say(seeded, "log.web.nginx", message("GET /a", agent="1:1"))
    await say(seeded, "log.db.unknown", message("slow query", 3, task="other:2"))


async def texts(served: Served, query: str = "", **more: Any) -> list[str]:
    reply = await served.ask("GET", f"/api/v1/logs{query}", **more)
    assert reply.status == 200, reply.body
    return [item["data"] for item in reply.json["items"]]


async def test_the_newest_message_of_all_logs_comes_first(served: Served, agent: WireAgent) -> None:
    await fill(served)
    assert await texts(served) == ["slow query", "GET /a", "refused", "Broken Pipe", "GET /"]
    assert await texts(served, "?order=asc") == ["GET /", "Broken Pipe", "refused", "GET /a", "slow query"]
    item = (await served.ask("GET", "/api/v1/logs?text=refused")).json["items"][0]
    received = item.pop("received")
    assert received > "2026"
    assert item == {
        "agent": None, "host": "gate", "job": None, "jobdomain": "syslog", "jobname": "sshd", "epoch": EPOCH,
        "at": "2025-11-23T01:02:03.456Z", "level": 7, "id": 1, "data": "refused", "category": None, "flags": [],
        "more": {"facility": "auth"},
    }  # fmt: skip
    other = (await served.ask("GET", "/api/v1/logs?text=slow")).json["items"][0]
    assert (other["host"], other["job"], other["jobname"]) == ("h", "other", "")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("text=get", ["GET /a", "GET /"]),
        ("text=BROKEN%20pipe", ["Broken Pipe"]),
        ("text=%22", []),
        ("level=7-9", ["refused", "Broken Pipe"]),
        ("level=3,8", ["slow query", "Broken Pipe"]),
        ("host=gate", ["refused"]),
        ("host=GATE", ["refused"]),
        ("host=1:7&domain=web", ["Broken Pipe", "GET /"]),
        ("host=1:99", []),
        ("host=nowhere", []),
        ("domain=web", ["GET /a", "Broken Pipe", "GET /"]),
        ("domain=web&name=nginx&level=8", ["Broken Pipe"]),
        ("domain=db&name=", ["slow query"]),
        ("job=job", ["Broken Pipe", "GET /"]),
        ("job=other", ["slow query"]),
        ("from=-1h", ["slow query", "GET /a", "refused", "Broken Pipe", "GET /"]),
        ("to=-1h", []),
        ("from=2099-01-01T00:00:00Z", []),
    ],
)
async def test_messages_are_found_by_what_they_are(
    served: Served, agent: WireAgent, query: str, expected: list[str]
) -> None:
    await fill(served)
    assert await texts(served, f"?{query}") == expected
    assert await texts(served, f"?{query}&order=asc") == expected[::-1]


@pytest.mark.parametrize(
    "query",
    [
        "level=99", "level=x", "level=9-1", "host=" + "x" * 300, "text=" + "x" * 300, "from=yesterday", "from=-1x",
        "from=2026-13-01T00:00:00Z", "from=-1h&to=-2h", "order=up", "limit=0", "limit=1001", "cursor=x",
        "cursor=agent.1", "cursor=1-1.1.zzzzzzzz", "job=a/b", "nothing=1", "cursor=1-1.99999999999999999999.00000000",
    ],
)  # fmt: skip
async def test_what_is_no_search_is_told(served: Served, query: str) -> None:
    assert (await served.ask("GET", f"/api/v1/logs?{query}")).status == 400


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_have_everything_once_in_order(served: Served, agent: WireAgent, order: str, limit: int) -> None:
    seeded = served.seeded
    for number in range(8):
        both = [message(f"{number}.{place}") for place in range(3)]
        await say(seeded, f"log.d.n{number % 3}", *both)
    found: list[str] = []
    cursor = ""
    while True:
        reply = await served.ask("GET", f"/api/v1/logs?order={order}&limit={limit}{cursor}")
        found += [item["data"] for item in reply.json["items"]]
        assert len(reply.json["items"]) <= limit
        if reply.json["next"] is None:
            break
        cursor = f"&cursor={reply.json['next']}"
    expected = [f"{number}.{place}" for number in range(8) for place in range(3)]
    assert found == (expected if order == "asc" else expected[::-1])


async def test_entries_of_one_millisecond_in_many_streams_are_all_there(seeded: Seeded) -> None:
    names = [f"log.d.n{number}" for number in range(20)]
    for name in names:
        await seeded.redis.call("XADD", name, "5-0", "m", msgspec.json.encode([message(name), message(name + "'")]))
        await seeded.redis.call("ZADD", f"dpl:c:{COMPANY}:logs:at", 5, name)
    search = LogSearch(Logs(seeded.redis))
    for order in ("asc", "desc"):
        found, place = [], None
        while True:
            wanted = Wanted(filter=Filter(), order=order, count=3, after=place)  # type: ignore[arg-type]
            page = await search.page(COMPANY, wanted)
            found += [line.message.data for line in page.lines]
            place = page.next
            if place is None:
                break
        assert sorted(found) == sorted([*names, *(f"{name}'" for name in names)]), order


async def test_a_page_that_has_looked_at_enough_goes_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.telemetry.logsearch.ENTRIES_A_PAGE", 3)
    for number in range(12):
        await say(served.seeded, f"log.d.n{number % 5}", message(f"{number}"))
    for order in ("asc", "desc"):
        found: list[str] = []
        cursor, pages = "", 0
        while True:
            page = (await served.ask("GET", f"/api/v1/logs?text=1&order={order}{cursor}")).json
            found += [item["data"] for item in page["items"]]
            pages += 1
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert sorted(found) == ["1", "10", "11"]
        assert pages > 3


async def test_what_was_thinned_out_is_counted(served: Served) -> None:
    await fill(served)
    await served.seeded.redis.call("HSET", f"dpl:c:{COMPANY}:logs:left", "log.web.nginx", 41, "log.x.y", 7)
    assert (await served.ask("GET", "/api/v1/logs?domain=web")).json["left_out"] == 41
    assert (await served.ask("GET", "/api/v1/logs?domain=db")).json["left_out"] == 0


async def test_another_company_and_other_agents_are_not_there(served: Served, agent: WireAgent) -> None:
    await fill(served)
    assert await texts(served, token=await served.token_of("olga", Role.OWNER, "other")) == []
    user = {"name": "vic", "role": "viewer", "agents": ["1:7"]}
    assert (await served.ask("POST", "/api/v1/users", json=user)).status == 201
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "vic"})).json["token"]
    assert await texts(served, token=token) == ["slow query", "Broken Pipe", "GET /"]
    assert await texts(served, "?host=1:1", token=token) == []


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_of_many_logs_nothing_is_held_that_is_not_due(
    served: Served, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr("deployer.telemetry.logsearch.FEW", 2)
    monkeypatch.setattr("deployer.telemetry.logsearch.AT_ONCE", 3)
    for number in range(60):
        await say(served.seeded, f"log.many.n{number % 20}", message(f"{number:02}"))
    found, cursor = [], ""
    for _ in range(10):
        page = (await served.ask("GET", f"/api/v1/logs?order={order}&limit=7{cursor}")).json
        found += [item["data"] for item in page["items"]]
        cursor = f"&cursor={page['next']}"
        if page["next"] is None:
            break
    assert found == sorted((f"{number:02}" for number in range(60)), reverse=order == "desc")


async def test_an_export_that_fails_does_not_look_like_a_whole_one(served: Served) -> None:
    await fill(served)
    assert len(await texts(served)) == 5  # who asks is known for a second
    await served.seeded.redis.stop()
    with pytest.raises(ResponseFailed):
        await served.ask("GET", "/api/v1/logs", headers={"Accept": "text/plain"})
    await served.seeded.redis.start(10)


async def test_all_of_a_search_is_exported(served: Served, agent: WireAgent) -> None:
    await fill(served)
    await say(served.seeded, "log.evil.x", message('=cmd|"/C calc"!A0'), message("a\x1b[2J\nb\r"))

    async def export(media: str, query: str = "") -> str:
        reply = await served.ask("GET", f"/api/v1/logs{query}", headers={"Accept": media})
        assert reply.status == 200
        assert reply.headers.getRawHeaders(b"content-type") == [f"{media}; charset=utf-8".encode()]
        return reply.body.decode()

    lines = [json.loads(line) for line in (await export("application/x-ndjson", "?order=asc")).splitlines()]
    assert [line["data"] for line in lines][:2] == ["GET /", "Broken Pipe"]
    rows = list(csv.reader(io.StringIO(await export("text/csv", "?order=asc"))))
    assert rows[0][-1] == "data"
    assert [row[-1] for row in rows[-2:]] == ['\'=cmd|"/C calc"!A0', "a\x1b[2J\nb\r"]
    text = (await export("text/plain", "?domain=evil")).splitlines()
    assert len(text) == 2
    assert text[0].endswith("evil/x 1 a\\x1b[2J\\nb\\x0d")
    assert len((await export("application/x-ndjson", "?limit=2")).splitlines()) == 2


@given(st.text(max_size=40))
def test_no_text_forges_a_line_or_a_formula(text: str) -> None:
    one = LoggedMessage(
        agent="1:1", host="h", job="j", jobdomain=text[:10], jobname="n", epoch=1, at="t", received="r", level=1, id=1,
        data=text, category=None, flags=[], more={},
    )  # fmt: skip
    line = as_text(one)
    assert line.count(b"\n") == 1
    assert not any(byte < 32 and byte not in b"\t\n" for byte in line)
    (row,) = csv.reader(io.StringIO(as_csv(one).decode(), newline=""))
    assert len(row) == 11
    assert not row[-1].startswith(("=", "+", "-", "@", "\t", "\r"))


async def ended(following: "Deferred[None]") -> None:
    following.addErrback(lambda failure: failure.trap(CancelledError, Exception) and None)
    following.cancel()
    await following


async def test_new_messages_of_many_hosts_are_followed_live(served: Served, agent: WireAgent) -> None:
    await fill(served)
    everything, errors = Events(), Events()
    streams = [
        Deferred.fromCoroutine(served.stream("/api/v1/logs", {}, everything)),
        Deferred.fromCoroutine(served.stream("/api/v1/logs?level=8&domain=web", {}, errors)),
    ]
    await served.until(lambda: b"retry" in everything.raw and b"retry" in errors.raw)
    await say(served.seeded, "log.web.nginx", message("new"), message("bad", 8))
    await say(served.seeded, "log.fresh.x", message("fresh", 8))
    await served.until(lambda: len(everything.lines) == 3 and len(errors.lines) == 1)
    assert everything.lines == ["new", "bad", "fresh"]
    assert errors.lines == ["bad"]
    for stream in streams:
        await ended(stream)


async def test_following_goes_on_behind_the_last_event_without_gap_or_repeat(served: Served) -> None:
    for number in range(30):
        await say(served.seeded, f"log.d.n{number % 4}", message(str(number)))
    first = (await served.ask("GET", "/api/v1/logs?order=asc&limit=10")).json["next"]
    events = Events()
    following = Deferred.fromCoroutine(served.stream("/api/v1/logs", {"Last-Event-ID": first}, events))
    for number in range(30, 40):
        await say(served.seeded, f"log.d.n{number % 4}", message(str(number)))
    await served.until(lambda: len(events.lines) == 30)
    assert events.lines == [str(number) for number in range(10, 40)]
    last = [block["id"] for block in events.blocks if "id" in block][-3]
    again = Events()
    other = Deferred.fromCoroutine(served.stream("/api/v1/logs", {"Last-Event-ID": last}, again))
    await served.until(lambda: len(again.lines) == 2)
    assert again.lines == ["38", "39"]
    await ended(following)
    await ended(other)


async def test_who_does_not_read_loses_lines_and_others_do_not(served: Served) -> None:
    stalled = served.begin("/api/v1/logs")
    events = Events()
    following = Deferred.fromCoroutine(served.stream("/api/v1/logs", {}, events))
    await served.until(lambda: b"log_followers 2.0" in served.meter.text() and b"retry" in events.raw)
    line = "x" * 20_000
    for number in range(400):
        await say(served.seeded, "log.d.n", message(f"{number} {line}"))
        await served.until(lambda number=number: len(events.lines) >= number - 20)  # type: ignore[misc]
    await served.until(lambda: len(events.lines) == 400)
    assert b"dropped" not in events.raw
    lost = re.search(rb"log_lines_dropped(?:_total)? ([0-9.]+)", served.meter.text())
    assert lost is not None
    assert float(lost[1]) > 0
    stalled.close()
    await ended(following)


async def test_one_user_follows_only_so_many_logs(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.rest.logs.FOLLOWED", 2)
    sockets = [served.begin("/api/v1/logs") for _ in range(2)]
    events = Events()
    headers = {"Accept": "text/event-stream"}
    await served.until(lambda: len(served.meter.text()) > 0 and b"log_followers 2.0" in served.meter.text())
    reply = await served.ask("GET", "/api/v1/logs", headers=headers)
    assert reply.status == 429
    for one in sockets:
        one.close()
    await served.until(lambda: b"log_followers 0.0" in served.meter.text())
    following = Deferred.fromCoroutine(served.stream("/api/v1/logs", {}, events))
    await served.until(lambda: b"retry" in events.raw)
    await ended(following)


def test_a_stream_has_the_domain_and_name_that_its_key_says() -> None:
    for key, expected in {
        "log.a.b": ("a", "b"),
        "log.unknown.unknown": ("", ""),
        "log.a%2Eb.%C3%A4": ("a.b", "ä"),
        "c:acme:log.log%2E.log%2E": ("log.", "log."),
    }.items():
        its = named(key)
        assert its is not None
        assert (its.domain, its.name) == expected
    assert named("something.else") is None
    assert named("log.x") is None


@given(st.integers(0, 10**18), st.integers(0, 10**6), st.integers(0, 2**32 - 1), st.integers(0, 10**6))
def test_a_place_is_read_as_it_was_written(ms: int, number: int, mark: int, index: int) -> None:
    place = Place(ms, number, f"{mark:08x}", index)
    assert Place.parse(str(place)) == place
