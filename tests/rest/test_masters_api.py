"""Masters tell each other how they are; an admin reads it at any of them (seed 002)."""

import time

import msgspec
import pytest
from twisted.logger import Logger

from deployer.dispatch.presence import MasterPresence
from deployer.kit.unhandled import KEPT, MAX_TRACEBACK, Unhandled, UnhandledLog
from deployer.model.access import Role
from deployer.stores import keys
from deployer.stores.masters import GONE_MS, Masters
from support.failures import LoggedFailures
from support.master_record import record
from support.served import Served

PATH = "/api/v1/masters"


def failure(number: int) -> Unhandled:
    return Unhandled(at=float(number), place="p", text=f"failure {number}", kind="ValueError", traceback="Traceback")


async def test_masters_are_listed_with_what_they_have_done(served: Served) -> None:
    masters = Masters(served.seeded.redis)
    await masters.tell(record("two"))
    await masters.tell(record("one", ready=False))
    page = (await served.ask("GET", PATH)).json
    assert [one["id"] for one in page["items"]] == ["one", "two"]
    first = page["items"][0]
    assert (first["ready"], first["requests"], first["href"]) == (False, 3, f"{PATH}/one")
    assert first["routes"] == [{"method": "GET", "route": "/livez", "requests": 3, "mean_ms": 1.0, "p95_ms": 2.0}]
    assert (await served.ask("GET", f"{PATH}/one")).json == first
    assert (await served.ask("GET", f"{PATH}/none")).status == 404


async def test_a_master_that_says_nothing_more_is_gone(served: Served) -> None:
    masters = Masters(served.seeded.redis)
    await masters.tell(record())
    assert 0 < await served.seeded.redis.call("PTTL", keys.master("one")) <= GONE_MS
    await masters.forget("one")
    assert (await served.ask("GET", PATH)).json["items"] == []
    assert (await served.ask("GET", f"{PATH}/one/exceptions")).json["items"] == []
    assert (await served.ask("GET", f"{PATH}/none/exceptions")).status == 404


async def test_the_last_hundred_exceptions_are_kept_the_newest_first(served: Served) -> None:
    presence = MasterPresence(Masters(served.seeded.redis), "one", record, time.time)
    for number in range(KEPT + 20):
        presence.heard(failure(number))
    await presence.tell()
    presence.heard(failure(KEPT + 20))
    await presence.tell()
    items = (await served.ask("GET", f"{PATH}/one/exceptions")).json["items"]
    assert [one["text"] for one in items] == [f"failure {number}" for number in range(KEPT + 20, 20, -1)]
    assert (items[0]["kind"], items[0]["place"]) == ("ValueError", "p")


def test_what_nobody_handled_is_heard_with_a_traceback_that_has_no_values(logged_failures: LoggedFailures) -> None:
    heard: list[Unhandled] = []
    log = UnhandledLog()
    log.start(heard.append)
    secret = "dpl_secret"  # noqa: F841 (a value that must not be told)
    try:
        _fail(20)
    except ValueError:
        Logger(namespace="deployer.x").failure("request {request_id} failed", request_id="r1")
    Logger().error("an error that was handled")
    log.stop()
    try:
        _fail(0)
    except ValueError:
        Logger().failure("after the end")
    logged_failures.flush(ValueError)
    (one,) = heard
    assert (log.count, one.kind, one.place, one.text) == (1, "ValueError", "deployer.x", "request r1 failed")
    assert "_fail" in one.traceback
    assert "dpl_secret" not in one.traceback
    assert len(one.traceback) <= MAX_TRACEBACK + 1


def _fail(deep: int) -> None:
    if deep:
        _fail(deep - 1)
    raise ValueError("x")


async def test_redis_is_weighed_by_kind_step_by_step_and_by_one_master_at_a_time(served: Served) -> None:
    redis = served.seeded.redis
    await redis.calls([("SET", f"dpl:c:acme:job:{number}", "x" * 100) for number in range(500)])
    await redis.call("XADD", "log.d.n", "*", "m", "x" * 1000)
    await redis.call("SET", "somebody:elses", "x")
    presence = MasterPresence(Masters(redis), "one", record, time.time)
    other = MasterPresence(Masters(redis), "two", record, time.time)
    for _ in range(50):
        await presence.weigh()
        await other.weigh()
    storage = (await served.ask("GET", PATH)).json["storage"]
    assert storage["bytes"]["job"] > 500 * 100
    assert storage["bytes"]["log"] > 1000
    assert {"other", "company", "token"} <= set(storage["bytes"])
    assert "acme" not in str(storage["bytes"])
    assert storage["weighed"].endswith("Z")
    assert storage["open_tasks"] == {"acme": 0}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("dpl:c:acme:task:a@1:1", "task"),
        ("dpl:c:acme:task:a@1:1:runs", "task"),
        ("dpl:agent:1:1:queue", "agent"),
        ("dpl:masters", "masters"),
        ("log.d.n", "log"),
        ("c:acme:log.d.n", "log"),
        ("cmds_queue_x", "cmds_queue"),
        ("dpl:c", "c"),
        ("", "other"),
        ("x:y", "other"),
    ],
)
def test_the_kind_of_a_key_is_a_word(key: str, kind: str) -> None:
    assert keys.kind(key) == kind


async def test_damaged_records_are_left_out(served: Served) -> None:
    masters = Masters(served.seeded.redis)
    await masters.tell(record("one"))
    await masters.tell(record("two"))
    await served.seeded.redis.call("SET", keys.master("one"), b"\xff")
    await served.seeded.redis.call("LPUSH", keys.master_exceptions("two"), b"{", msgspec.json.encode(failure(1)))
    assert [one["id"] for one in (await served.ask("GET", PATH)).json["items"]] == ["two"]
    assert len((await served.ask("GET", f"{PATH}/two/exceptions")).json["items"]) == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.OWNER])
async def test_only_the_installations_admin_sees_masters(served: Served, role: Role) -> None:
    token = await served.token_of("sam", role)
    for path in (PATH, f"{PATH}/one", f"{PATH}/one/exceptions"):
        assert (await served.ask("GET", path, token=token)).status == 403


async def test_requests_are_timed_by_route(served: Served) -> None:
    for _ in range(3):
        await served.ask("GET", "/api/v1/jobs")
    (one,) = [its for its in served.meter.routes() if its.route == "/api/v1/jobs"]
    assert (one.method, one.requests) == ("GET", 3)
    assert 0 < one.mean_ms <= one.p95_ms * 1.1
    assert served.meter.answered >= 3
