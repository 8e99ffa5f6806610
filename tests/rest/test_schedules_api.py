"""Schedules over REST: made, shown, changed, fired, refused."""

from typing import Any

import pytest

from deployer.model import limits
from deployer.model.access import Role
from deployer.stores import keys
from support.seeded import COMPANY
from support.served import Reply, Served, WireAgent

JOB = {"cmd": "ping", "target": "1:7"}
BODY = {"name": "nightly", "every_s": 3600, "job": JOB}


async def _ask(served: Served, method: str, path: str, body: Any = None, **more: Any) -> Reply:
    return await served.ask(method, path, **({} if body is None else {"json": body}), **more)


async def _make(served: Served, **fields: Any) -> dict[str, Any]:
    token = {"token": fields.pop("token")} if "token" in fields else {}
    reply = await served.ask("POST", "/api/v1/schedules", json={**BODY, **fields}, **token)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json
    return made


async def _come(served: Served, made: dict[str, Any], ago_ms: int = 0) -> int:
    """Let its next slot be now (or so long ago), and be dealt with; the slot."""
    slot = await _put_back(served, made, ago_ms)
    await served.core.scheduler.round()
    return slot


async def _put_back(served: Served, made: dict[str, Any], ago_ms: int = 0) -> int:
    """Let its slots be those of another start."""
    redis = served.seeded.redis
    seconds, _ = await redis.call("TIME")
    slot = int(seconds) * 1000 - ago_ms
    key = keys.schedule(COMPANY, made["id"])
    doc = await redis.call("HGET", key, "doc")
    assert b'"every_s"' in doc
    await redis.call("HSET", key, "doc", doc[:-1] + b',"start":%d}' % slot, "next", slot)
    await redis.call("ZADD", keys.SCHEDULES, slot, f"{keys.prefix(COMPANY)}|{made['id']}")
    return slot


async def _firings(served: Served, made: dict[str, Any]) -> list[dict[str, Any]]:
    reply = await served.ask("GET", f"{made['href']}/firings")
    found: list[dict[str, Any]] = reply.json["items"]
    return found


async def test_a_schedule_is_made_and_shown_with_its_next_firings(served: Served, agent: WireAgent) -> None:
    made = await _make(
        served, every_s=None, cron="30 2 * * *", timezone="Europe/Berlin", start="2100-01-01T00:00:00+01:00"
    )
    assert made["next"] == made["next_firings"][0] == "2100-01-01T01:30:00.000Z"
    assert len(made["next_firings"]) == 5
    shown = await served.ask("GET", made["href"])
    assert shown.json == made
    assert shown.header("etag")
    assert (made["name"], made["overlap"], made["catch_up"], made["paused"]) == ("nightly", "skip", "none", False)
    assert (made["job"], made["user"]["id"], made["last"]) == (JOB, "admin", None)
    assert made["counts"] == {"fired": 0, "skipped": 0, "missed": 0, "refused": 0}
    (listed,) = (await served.ask("GET", "/api/v1/schedules")).json["items"]
    assert listed == {name: value for name, value in made.items() if name != "next_firings"}


async def test_a_slot_that_comes_starts_one_job_that_tells_of_its_schedule(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    slot = await _come(served, made)
    job = (await served.ask("GET", f"/api/v1/jobs/{made['id']}-{slot}")).json
    assert (job["schedule"], job["user"]["id"]) == ({"id": made["id"], "href": made["href"]}, "admin")
    assert [one["id"] for one in await agent.poll()] == [job["id"]]
    shown = (await served.ask("GET", made["href"])).json
    assert (shown["counts"]["fired"], shown["last"]["outcome"]) == (1, "fired")
    assert shown["last"]["job"]["id"] == job["id"]
    assert (await served.submit(target="1:7", id="other")).status == 202
    found = (await served.ask("GET", f"/api/v1/jobs?schedule={made['id']}")).json["items"]
    assert [one["id"] for one in found] == [job["id"]]
    await served.core.scheduler.round()
    assert len(await _firings(served, made)) == 1


async def test_a_slot_is_skipped_while_the_job_before_is_not_final(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    first = await _come(served, made, 2000)
    await _come(served, made, 1000)
    skipped, fired = await _firings(served, made)
    assert (skipped["outcome"], skipped["code"], fired["outcome"]) == ("skipped", "overlap", "fired")
    assert f"{made['id']}-{first} is not final" in skipped["reason"]
    await agent.poll()
    await agent.run(f"{made['id']}-{first}")
    await _come(served, made)
    assert [one["outcome"] for one in await _firings(served, made)] == ["fired", "skipped", "fired"]


async def test_firings_come_in_pages(served: Served, agent: WireAgent) -> None:
    made = await _make(served, overlap="replace")
    for ago in (3000, 2000, 1000):
        await _come(served, made, ago)
    first = (await served.ask("GET", f"{made['href']}/firings?limit=2")).json
    rest = (await served.ask("GET", f"{made['href']}/firings?limit=2&cursor={first['next']}")).json
    assert [*first["items"], *rest["items"]] == await _firings(served, made)
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    assert (await served.ask("GET", f"{made['href']}/firings?cursor=x")).status == 400


async def test_one_slot_waits_in_a_queue_for_the_job_before(served: Served, agent: WireAgent) -> None:
    made = await _make(served, overlap="queue")
    first = await _come(served, made, 3000)
    second = await _come(served, made, 2000)
    third = await _come(served, made, 1000)
    assert [one["outcome"] for one in await _firings(served, made)] == ["fired"]
    redis = served.seeded.redis
    member = f"{keys.prefix(COMPANY)}|{made['id']}"
    await redis.call("ZADD", keys.FIRINGS, 0, member)
    await served.core.scheduler.round()
    skipped, _ = await _firings(served, made)
    assert (skipped["outcome"], skipped["at"] > (await _firings(served, made))[1]["at"]) == ("skipped", True)
    await agent.poll()
    await agent.run(f"{made['id']}-{first}")
    await redis.call("ZADD", keys.FIRINGS, 0, member)
    await served.core.scheduler.round()
    outcomes = {one["job"] and one["job"]["id"]: one["outcome"] for one in await _firings(served, made)}
    assert outcomes == {f"{made['id']}-{first}": "fired", None: "skipped", f"{made['id']}-{second}": "fired"}
    assert third not in {first, second}
    assert await redis.call("ZCARD", keys.FIRINGS) == 0


async def test_a_slot_takes_the_place_of_the_job_before(served: Served, agent: WireAgent) -> None:
    made = await _make(served, overlap="replace")
    first = await _come(served, made, 1000)
    second = await _come(served, made)
    assert (await served.ask("GET", f"/api/v1/jobs/{made['id']}-{first}")).json["state"] == "KILLED"
    assert (await served.ask("GET", f"/api/v1/jobs/{made['id']}-{second}")).json["state"] == "QUEUED"
    assert [one["outcome"] for one in await _firings(served, made)] == ["fired", "fired"]


async def test_slots_that_nobody_was_there_for_are_told_and_not_made_up_for(served: Served, agent: WireAgent) -> None:
    made = await _make(served, every_s=60)
    slot = await _come(served, made, 60_000 * 90 + 40_000)
    (missed,) = await _firings(served, made)
    assert (missed["outcome"], missed["count"], missed["job"]) == ("missed", 91, None)
    assert missed["at"] < missed["until"]
    shown = (await served.ask("GET", made["href"])).json
    assert (shown["counts"]["missed"], shown["counts"]["fired"], slot > 0) == (91, 0, True)


async def test_many_missed_slots_are_told_of_in_one_line(served: Served, agent: WireAgent) -> None:
    made = await _make(served, every_s=60)
    await _come(served, made, 60_000 * 2499 + 40_000)
    (missed,) = await _firings(served, made)
    assert (missed["outcome"], missed["count"]) == ("missed", 2500)
    assert (await served.ask("GET", made["href"])).json["counts"]["missed"] == 2500
    await _come(served, made, 35_000)
    again, _ = await _firings(served, made)
    assert (again["count"], again["at"] > missed["until"]) == (1, True)


@pytest.mark.parametrize(("catch_up", "fired"), [("one", 1), ("all", 100)])
async def test_missed_slots_are_made_up_for_where_that_is_asked_for(
    served: Served, agent: WireAgent, catch_up: str, fired: int
) -> None:
    made = await _make(served, every_s=60, catch_up=catch_up, overlap="replace")
    await _come(served, made, 60_000 * 119 + 40_000)
    counts = (await served.ask("GET", made["href"])).json["counts"]
    assert (counts["fired"], counts["missed"]) == (fired, 120 - fired)
    assert {one["made_up"] for one in await _firings(served, made)} <= {True, False}
    assert (await _firings(served, made))[0]["made_up"]


async def test_a_schedule_acts_with_the_rights_of_its_user_and_says_when_these_are_gone(
    served: Served, agent: WireAgent
) -> None:
    token = await served.token_of("sam", Role.OPERATOR)
    made = await _make(served, token=token)
    assert made["user"]["id"] == "sam"
    for change, code in (
        ({"role": "viewer"}, "forbidden"),
        ({"role": "operator", "agents": ["1:8"]}, "no_matching_agent"),
        ({"agents": None, "disabled": True}, "user_disabled"),
    ):
        assert (await served.ask("PATCH", "/api/v1/users/sam", json=change)).status == 200
        await _come(served, made)
        (last, *_) = await _firings(served, made)
        assert (last["outcome"], last["code"], last["job"]) == ("refused", code, None)
        assert last["reason"]
    assert (await served.ask("DELETE", "/api/v1/users/sam")).status == 200
    await served.ask("POST", "/api/v1/users", json={"name": "sam", "role": "owner"})
    await _come(served, made)
    assert (await _firings(served, made))[0]["code"] == "user_gone"
    shown = (await served.ask("GET", made["href"])).json
    assert (shown["counts"]["refused"], shown["last"]["code"]) == (4, "user_gone")
    changed = await served.ask("PATCH", made["href"], json={"catch_up": "one"})
    assert changed.json["user"]["id"] == "admin"
    await _come(served, made)
    assert (await _firings(served, made))[0]["outcome"] == "fired"


async def test_a_schedule_has_no_more_rights_than_the_token_that_made_it(served: Served, agent: WireAgent) -> None:
    shell = {"cmd": "execute", "target": "1:7", "args": {"cmd": "true", "shell": True}}
    token = await served.token_of("sam", Role.OPERATOR)
    refused = await served.ask("POST", "/api/v1/schedules", json={**BODY, "job": shell}, token=token)
    assert (refused.status, refused.code) == (403, "forbidden")
    made = await _make(served, job=shell)
    for body in ({"every_s": 7200}, {"job": shell}, {"name": "mine"}):
        assert (await served.ask("PATCH", made["href"], json=body, token=token)).status == 403
    assert (await served.ask("POST", f"{made['href']}/run", token=token)).status == 403
    paused = await served.ask("PATCH", made["href"], json={"paused": True}, token=token)
    assert (paused.status, paused.json["user"]["id"]) == (200, "admin")


async def test_a_paused_schedule_does_not_fire_and_goes_on_later(served: Served, agent: WireAgent) -> None:
    made = await _make(served, paused=True)
    assert (made["next"], made["next_firings"]) == (None, [])
    assert await served.seeded.redis.call("ZCARD", keys.SCHEDULES) == 0
    resumed = (await served.ask("PATCH", made["href"], json={"paused": False})).json
    assert resumed["next"] is not None
    again = (await served.ask("PATCH", made["href"], json={"paused": True})).json
    assert again["next"] is None
    assert await served.seeded.redis.call("ZCARD", keys.SCHEDULES) == 0


async def test_a_slot_that_waits_when_its_schedule_is_paused_does_not_fire(served: Served, agent: WireAgent) -> None:
    made = await _make(served, overlap="queue")
    first = await _come(served, made, 2000)
    await _come(served, made, 1000)
    assert (await served.ask("PATCH", made["href"], json={"paused": True})).status == 200
    await agent.poll()
    await agent.run(f"{made['id']}-{first}")
    await served.seeded.redis.call("ZADD", keys.FIRINGS, 0, f"{keys.prefix(COMPANY)}|{made['id']}")
    await served.core.scheduler.round()
    assert [(one["outcome"], one["code"]) for one in await _firings(served, made)] == [
        ("skipped", "paused"),
        ("fired", None),
    ]


async def test_its_job_is_started_when_somebody_asks(served: Served, agent: WireAgent) -> None:
    made = await _make(served, paused=True)
    token = await served.token_of("sam", Role.OPERATOR)
    reply = await served.ask("POST", f"{made['href']}/run", token=token)
    assert (reply.status, reply.json["schedule"]["id"], reply.json["user"]["id"]) == (202, made["id"], "sam")
    assert reply.header("location") == reply.json["href"]
    (asked,) = await _firings(served, made)
    assert (asked["at"], asked["user"]["id"], asked["job"]["id"]) == (None, "sam", reply.json["id"])
    again = await served.ask("POST", f"{made['href']}/run")
    assert (again.status, again.code) == (409, "conflict")
    await agent.poll()
    await agent.run(reply.json["id"])
    assert (await served.ask("POST", f"{made['href']}/run")).status == 202


async def test_a_change_needs_the_version_that_it_names(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    tag = (await served.ask("GET", made["href"])).header("etag") or ""
    changed = await served.ask("PATCH", made["href"], json={"name": "other"}, headers={"If-Match": tag})
    assert (changed.status, changed.json["name"], changed.json["next"]) == (200, "other", made["next"])
    for method, body in (("PATCH", {"name": "third"}), ("DELETE", None)):
        stale = await _ask(served, method, made["href"], body, headers={"If-Match": tag})
        assert (stale.status, stale.code) == (412, "changed")
    await _make(served)
    taken = await served.ask("PATCH", made["href"], json={"name": "nightly"})
    assert (taken.status, taken.code) == (409, "conflict")
    assert (await served.ask("DELETE", made["href"])).json == {"id": made["id"]}
    assert (await served.ask("GET", made["href"])).status == 404
    assert not [key for key in await served.seeded.redis.call("KEYS", "dpl:*schedule*") if made["id"].encode() in key]


async def test_a_period_and_an_expression_take_each_others_place(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    cron = await served.ask("PATCH", made["href"], json={"cron": "@daily", "timezone": "Europe/Berlin"})
    assert (cron.json["cron"], cron.json["every_s"], cron.json["timezone"]) == ("@daily", None, "Europe/Berlin")
    every = await served.ask("PATCH", made["href"], json={"every_s": 60})
    assert (every.json["cron"], every.json["every_s"], every.json["timezone"]) == (None, 60, "UTC")
    ended = await served.ask("PATCH", made["href"], json={"end": "2199-01-01T00:00:00Z"})
    assert ended.json["end"] == "2199-01-01T00:00:00.000Z"
    assert (await served.ask("PATCH", made["href"], json={"end": None})).json["end"] is None
    wrong = await served.ask("PATCH", made["href"], json={"timezone": "Europe/Berlin"})
    assert (wrong.status, wrong.pointers) == (422, ["/timezone"])


async def test_schedules_are_listed_in_pages_and_by_what_they_are(served: Served, agent: WireAgent) -> None:
    made = [await _make(served, name=f"s{number}", paused=number % 2 == 0) for number in range(5)]
    first = (await served.ask("GET", "/api/v1/schedules?limit=2")).json
    assert [one["name"] for one in first["items"]] == ["s0", "s1"]
    rest = (await served.ask("GET", f"/api/v1/schedules?limit=3&cursor={first['next']}")).json
    assert ([one["name"] for one in rest["items"]], rest["next"]) == (["s2", "s3", "s4"], None)
    for query, names in (
        ("name=s3", ["s3"]),
        ("name=none", []),
        ("name=s3&paused=true", []),
        ("paused=true", ["s0", "s2", "s4"]),
        ("paused=false&limit=1", ["s1"]),
        ("user=nobody", []),
    ):
        found = (await served.ask("GET", f"/api/v1/schedules?{query}")).json["items"]
        assert [one["name"] for one in found] == names, query
    assert len({one["id"] for one in made}) == 5


async def test_a_company_has_so_many_schedules_and_names_once(
    served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SCHEDULES_PER_COMPANY", 2)
    names = ("a", "a", "b", "c")
    replies = [await served.ask("POST", "/api/v1/schedules", json={**BODY, "name": name}) for name in names]
    assert [one.status for one in replies] == [201, 409, 201, 409]


async def test_who_may_use_some_agents_only_knows_of_no_others_schedules(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    await served.ask("POST", "/api/v1/users", json={"name": "sam", "role": "operator", "agents": ["1:7"]})
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "t", "user": "sam"})).json["token"]
    mine = await _make(served, name="mine", token=token)
    for path in ("", "/firings"):
        assert (await served.ask("GET", made["href"] + path, token=token)).status == 404
        assert (await served.ask("GET", mine["href"] + path, token=token)).status == 200
    for query in ("", "?name=nightly"):
        found = (await served.ask("GET", f"/api/v1/schedules{query}", token=token)).json["items"]
        assert made["id"] not in [one["id"] for one in found]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"every_s": None}, "/cron"),
    ({"cron": "* * * * *"}, "/every_s"),
    ({"every_s": None, "cron": ""}, "/cron"),
    ({"every_s": None, "cron": "x"}, "/cron"),
    ({"every_s": None, "cron": "* * * * * *"}, "/cron"),
    ({"every_s": None, "cron": "* * * *"}, "/cron"),
    ({"every_s": None, "cron": "61 * * * *"}, "/cron"),
    ({"every_s": None, "cron": "@reboot"}, "/cron"),
    ({"every_s": None, "cron": "0 0 30 2 *"}, "/cron"),
    ({"every_s": None, "cron": "0 0 31 4,6,9,11 *"}, "/cron"),
    ({"every_s": None, "cron": "0," * 500_000 + "0 * * * *"}, "/cron"),
    ({"every_s": None, "cron": "٣ * * * *"}, "/cron"),
    ({"every_s": None, "cron": 5}, "/cron"),
    ({"every_s": None, "cron": "@daily", "timezone": "Europe/Atlantis"}, "/timezone"),
    ({"every_s": None, "cron": "@daily", "timezone": "Europe"}, "/timezone"),
    ({"every_s": None, "cron": "@daily", "timezone": "localtime"}, "/timezone"),
    ({"every_s": None, "cron": "@daily", "timezone": "../../etc/passwd"}, "/timezone"),
    ({"timezone": "Europe/Berlin"}, "/timezone"),
    ({"every_s": 0}, "/every_s"),
    ({"every_s": -1}, "/every_s"),
    ({"every_s": 1e12}, "/every_s"),
    ({"every_s": 1.5}, "/every_s"),
    ({"every_s": "60"}, "/every_s"),
    ({"jitter_s": 3601}, "/jitter_s"),
    ({"every_s": 10, "jitter_s": 10}, "/jitter_s"),
    ({"overlap": "both"}, "/overlap"),
    ({"catch_up": 1}, "/catch_up"),
    ({"name": "Upper"}, "/name"),
    ({"name": "a" * 64}, "/name"),
    ({"name": ""}, "/name"),
    ({"start": "2100-01-02T00:00:00Z", "end": "2100-01-01T00:00:00Z"}, "/end"),
    ({"start": "2100-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}, "/end"),
    ({"end": "2020-01-01T00:00:00Z"}, "/end"),
    ({"start": "2100-01-01T00:00:00"}, "/start"),
    ({"start": "2300-01-01T00:00:00Z"}, "/start"),
    ({"start": "1960-01-01T00:00:00Z"}, "/start"),
    ({"unknown": 1}, "/unknown"),
    ({"job": None}, "/job"),
    ({"job": [JOB] * 10_000}, "/job"),
    ({"job": {"cmd": "ping"}}, "/job/target"),
    ({"job": {**JOB, "unknown": 1}}, "/job/unknown"),
    ({"job": {**JOB, "id": "mine"}}, "/job/id"),
    ({"job": {**JOB, "not_after": "2100-01-01T00:00:00Z"}}, "/job/not_after"),
    ({"job": {**JOB, "depends_on": ["other"]}}, "/job/depends_on"),
    ({"job": {**JOB, "cmd": "nonsense"}}, "/job/cmd"),
    ({"job": {**JOB, "target": "1:99"}}, "/job/target"),
    ({"job": {**JOB, "target": "role="}}, "/job/target"),
    ({"job": {**JOB, "cmd": "execute", "args": {"cmd": 1}}}, "/job/args/cmd"),
    ({"job": {**JOB, "cmd": "kill", "args": {"id": "none"}}}, "/job/args"),
    ({"job": {**JOB, "data": "x" * 40_000}}, "/job"),
]


@pytest.mark.parametrize(("change", "pointer"), BAD, ids=range(len(BAD)))
async def test_what_is_no_schedule_is_refused(
    served: Served, agent: WireAgent, change: dict[str, Any], pointer: str
) -> None:
    body = {name: value for name, value in {**BODY, **change}.items() if value is not None or name == "job"}
    reply = await served.ask("POST", "/api/v1/schedules", json=body)
    assert (reply.status, reply.pointers) == (422, [pointer]), reply.body
    assert (await served.ask("GET", "/api/v1/schedules")).json["items"] == []


@pytest.mark.parametrize(
    "text", [b'{"every_s": NaN}', b'{"every_s": 1e999999}', b"[]", b"", b'{"name":"a","name":"b"}']
)
async def test_what_is_no_json_of_a_schedule_is_refused(served: Served, agent: WireAgent, text: bytes) -> None:
    reply = await served.ask("POST", "/api/v1/schedules", data=text, headers={"Content-Type": "application/json"})
    assert reply.status in {400, 422}


async def test_a_job_of_another_with_the_id_of_a_slot_is_not_taken_for_it(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    slot = await _put_back(served, made)
    assert (await served.submit(id=f"{made['id']}-{slot}", target="1:7", cmd="get_os_info")).status == 202
    await served.core.scheduler.round()
    (refused,) = await _firings(served, made)
    assert (refused["outcome"], refused["code"], refused["job"]) == ("refused", "conflict", None)


async def test_a_damaged_schedule_stops_no_other(served: Served, agent: WireAgent) -> None:
    broken, made = await _make(served, name="broken"), await _make(served)
    redis = served.seeded.redis
    await redis.call("HSET", keys.schedule(COMPANY, broken["id"]), "doc", "{")
    await redis.call("ZADD", keys.SCHEDULES, 1, "nonsense", 1, f"{keys.prefix(COMPANY)}|{broken['id']}")
    await redis.call("ZADD", keys.FIRINGS, 1, "nonsense", 1, f"{keys.prefix(COMPANY)}|{broken['id']}")
    await redis.call("RPUSH", f"{keys.schedule(COMPANY, made['id'])}:waiting", "nonsense")
    await _come(served, made)
    assert [one["outcome"] for one in await _firings(served, made)] == ["fired"]
    assert [one["name"] for one in (await served.ask("GET", "/api/v1/schedules")).json["items"]] == ["nightly"]
    assert (await served.ask("GET", broken["href"])).status == 404


async def test_who_has_the_name_of_a_removed_user_has_none_of_its_schedules(served: Served, agent: WireAgent) -> None:
    first = await served.token_of("bob", Role.OPERATOR)
    body = {"name": "secret", "every_s": 3600, "job": {"cmd": "ping", "target": "1:1"}}
    made = await served.ask("POST", "/api/v1/schedules", json=body, token=first)
    assert made.status == 201
    if_match = {"If-Match": "*"}
    assert (await served.ask("DELETE", "/api/v1/users/bob", headers=if_match)).status == 200
    second = await served.token_of("bob", Role.OPERATOR)
    change = {"json": {"agents": ["1:7"]}, "headers": if_match}
    assert (await served.ask("PATCH", "/api/v1/users/bob", **change)).status == 200
    path = f"/api/v1/schedules/{made.json['id']}"
    assert (await served.ask("GET", path, token=second)).status == 404
    assert (await served.ask("GET", "/api/v1/schedules", token=second)).json["items"] == []
    assert (await served.ask("PATCH", path, json={"paused": True}, headers=if_match, token=second)).status == 404
