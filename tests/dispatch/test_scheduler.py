"""Schedulers of several masters, and masters that die between two steps: a slot starts one job."""

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from deployer.dispatch.scheduler import Scheduler
from deployer.kit.failpoints import FailpointError, arm
from deployer.protocol.failpoints import MASTER
from deployer.rest.schedulerequests import stored_job
from deployer.stores import keys
from deployer.stores.schedules import Schedules
from deployer.stores.users import Users
from support.failures import LoggedFailures
from support.seeded import COMPANY
from support.served import Served, WireAgent

MASTERS = 4
STEPS = ["schedule_planned", "schedule_taken", "submit_begun", "submit_stored", "schedule_submitted"]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm({}, ())


def _master(served: Served) -> Scheduler:
    core, redis = served.core, served.seeded.redis
    return Scheduler(
        Schedules(redis),
        Users(redis),
        core.dispatcher,
        check=lambda caller, job: core.requests.check(caller, stored_job(job)),
        trail=core.trail,
        clock=served.clock,
    )


async def _make(served: Served, **fields: Any) -> dict[str, Any]:
    body = {"name": "often", "every_s": 1, "overlap": "replace", "job": {"cmd": "ping", "target": "1:7"}, **fields}
    reply = await served.ask("POST", "/api/v1/schedules", json=body)
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json
    return made


async def _go_back(served: Served, made: dict[str, Any], seconds: int) -> list[int]:
    """Let its slots have begun so long ago; those that are due."""
    redis = served.seeded.redis
    now = int((await redis.call("TIME"))[0])
    key = keys.schedule(COMPANY, made["id"])
    doc = await redis.call("HGET", key, "doc")
    slots = [(now - ago) * 1000 for ago in range(seconds, -1, -1)]
    await redis.call("HSET", key, "doc", doc[:-1] + b',"start":%d,"end":%d}' % (slots[0], slots[-1]), "next", slots[0])
    await redis.call("ZADD", keys.SCHEDULES, slots[0], f"{keys.prefix(COMPANY)}|{made['id']}")
    return slots


async def _end_leases(served: Served) -> None:
    redis = served.seeded.redis
    for member in await redis.call("ZRANGE", keys.FIRINGS, 0, -1):
        await redis.call("ZADD", keys.FIRINGS, 0, member)


async def _jobs(served: Served, made: dict[str, Any]) -> list[str]:
    page = (await served.ask("GET", f"/api/v1/jobs?schedule={made['id']}&limit=1000")).json
    return sorted(one["id"] for one in page["items"])


async def test_many_masters_fire_each_slot_once_and_in_its_order(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    slots = await _go_back(served, made, 9)
    masters = [_master(served) for _ in range(MASTERS)]
    for _ in range(3):
        await gatherResults([ensureDeferred(one.round()) for one in masters])
        await _end_leases(served)
    assert await _jobs(served, made) == [f"{made['id']}-{slot}" for slot in slots]
    firings = (await served.ask("GET", f"{made['href']}/firings")).json["items"]
    assert [one["job"]["id"] for one in reversed(firings)] == await _jobs(served, made)
    assert sum(one.counts["fired"] for one in masters) == len(slots)
    shown = (await served.ask("GET", made["href"])).json
    assert (shown["counts"], shown["next"]) == ({"fired": 10, "skipped": 0, "missed": 0, "refused": 0}, None)


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_master_that_dies_between_two_steps_loses_nothing_and_doubles_nothing(
    served: Served, agent: WireAgent, logged_failures: LoggedFailures, step: str, overlap: str
) -> None:
    made = await _make(served, overlap=overlap)
    (slot,) = await _go_back(served, made, 0)
    arm({"DEPLOYER_FAILPOINTS": f"{step}=raise@1"}, MASTER)
    first, second = _master(served), _master(served)
    try:
        await first.round()
    except FailpointError:
        assert step == "schedule_planned"
    logged_failures.flush(FailpointError)
    await _end_leases(served)
    await second.round()
    assert await _jobs(served, made) == [f"{made['id']}-{slot}"]
    shown = (await served.ask("GET", made["href"])).json
    assert (shown["counts"]["fired"], shown["last"]["outcome"], second.counts["fired"]) == (1, "fired", 1)
    assert [one["id"] for one in await agent.poll()] == [f"{made['id']}-{slot}"]


async def test_a_slot_is_fired_by_a_master_that_is_slow_and_by_one_that_took_over_once(
    served: Served, agent: WireAgent
) -> None:
    """The first has lost its lease while it works."""
    made = await _make(served)
    (slot,) = await _go_back(served, made, 0)
    second = _master(served)
    taken_over: list[bool] = []

    class Slow(Schedules):
        async def now(self) -> int:
            if self is slow and not taken_over:
                waiting = await served.seeded.redis.call("ZCARD", keys.FIRINGS)
                if waiting:
                    taken_over.append(True)
                    await _end_leases(served)
                    await second.round()
            return await Schedules.now(self)

    slow = Slow(served.seeded.redis)
    first = _master(served)
    first._schedules = slow
    await first.round()
    assert taken_over == [True]
    assert await _jobs(served, made) == [f"{made['id']}-{slot}"]
    assert (first.counts["fired"], second.counts["fired"]) == (0, 1)
    assert (await served.ask("GET", made["href"])).json["counts"]["fired"] == 1


async def test_a_schedule_that_cannot_be_planned_here_is_left_to_other_masters(
    served: Served, agent: WireAgent
) -> None:
    """Its time zone is one that another master knows."""
    made, other = await _make(served), await _make(served, name="other")
    (slot,) = await _go_back(served, made, 0)
    await _go_back(served, other, 0)
    redis, key = served.seeded.redis, keys.schedule(COMPANY, made["id"])
    doc = await redis.call("HGET", key, "doc")
    unknown = doc.replace(b'"every_s":1', b'"cron":"@daily","timezone":"Mars/Olympus"')
    await redis.call("HSET", key, "doc", unknown)
    master = _master(served)
    await master.round()
    assert (await served.ask("GET", made["href"])).status == 200
    assert (len(await _jobs(served, made)), len(await _jobs(served, other))) == (0, 1)
    await redis.call("HSET", key, "doc", doc)
    await master.round()
    assert await _jobs(served, made) == []
    await _master(served).round()
    assert await _jobs(served, made) == [f"{made['id']}-{slot}"]


async def test_nothing_fires_while_redis_is_nearly_full_and_that_is_told(served: Served, agent: WireAgent) -> None:
    made = await _make(served)
    await _go_back(served, made, 0)
    served.memory = 0.99
    await _master(served).round()
    served.memory = 0.0
    last = (await served.ask("GET", made["href"])).json["last"]
    assert (last["outcome"], last["code"]) == ("refused", "no_space")


async def test_redis_clock_that_steps_forward_fires_no_storm_and_one_that_steps_back_nothing_twice(
    served: Served, agent: WireAgent
) -> None:
    made = await _make(served)
    (slot,) = await _go_back(served, made, 0)
    key = keys.schedule(COMPANY, made["id"])
    doc = await served.seeded.redis.call("HGET", key, "doc")
    await served.seeded.redis.call("HSET", key, "doc", doc.replace(b',"end":%d' % slot, b""))  # it goes on

    class Stepped(Schedules):
        ahead = 0

        async def now(self) -> int:
            return slot + self.ahead

    master, clock = _master(served), Stepped(served.seeded.redis)
    master._schedules = clock
    jobs = []
    for ahead in (0, -86_400_000, 0, 86_400_000, 0, 86_400_000, 86_401_000):
        clock.ahead = ahead
        for _ in range(3):
            await master.round()
        jobs.append(len(await _jobs(served, made)))
    assert jobs == [1, 1, 1, 32, 32, 32, 33]
    counts = (await served.ask("GET", made["href"])).json["counts"]
    assert (counts["fired"], counts["missed"]) == (33, 86_400 - 31)
    firings = (await served.ask("GET", f"{made['href']}/firings")).json["items"]
    assert len(firings) == 20
