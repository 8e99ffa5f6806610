"""Jobs whose tasks are made later: batches, what waits for other jobs, a few at a time, room on agents, priority."""

from typing import Any

import pytest

from deployer.kit.clock import sleep
from deployer.model import limits
from deployer.model.access import Role
from deployer.stores import keys
from support.planned import ECHO, fleet, job, run_all, submit, tasks, until
from support.seeded import COMPANY
from support.served import Served, WireAgent


async def test_a_batch_has_a_task_for_each_item_on_the_agents_with_the_least_to_do(served: Served) -> None:
    agents = await fleet(served, 3)
    reply = await submit(served, target="nid>=11", batch={"from": 1, "to": 16, "by": 3}, **ECHO)
    assert (reply.status, reply.json["state"]) == (202, "BLOCKED")
    await until(served, "j", QUEUED=6)
    shown = await tasks(served)
    assert [(one["id"], one["item"]) for one in shown] == [(f"j:{n}", 3 * n - 2) for n in range(1, 7)]
    got = [await agent.poll() for agent in agents]
    assert [len(commands) for commands in got] == [2, 2, 2]
    said = {command["id"]: command["args"]["args"] for commands in got for command in commands}
    assert said == {f"j:{n}": [f"no {3 * n - 2} of $item"] for n in range(1, 7)}
    for agent, commands in zip(agents, got, strict=True):
        for command in commands:
            await agent.run(command["id"])
    assert (await job(served))["state"] == "OK"
    again = await submit(served, target="nid>=11", batch={"from": 1, "to": 16, "by": 3}, **ECHO)
    assert (again.status, again.json["state"]) == (200, "OK")
    assert (await submit(served, target="nid>=11", batch={"from": 1, "to": 19, "by": 3}, **ECHO)).status == 409


@pytest.mark.parametrize(
    ("batch", "pointer", "message"),
    [
        ({"from": 1, "to": 1_000_000}, "/batch", "its 1000000 items are more than the 10000 tasks"),
        ({"from": 1, "to": 0}, "/batch", "it has no items"),
        ({"from": 1, "to": 5, "by": 0}, "/batch", "a step of 0 comes to no end"),
        ([], "/batch", "it has no items"),
        ([1.5], "/batch/0", ""),
        (["\0"], "/batch/0", ""),
        ({"from": 1}, "/batch/to", ""),
        ({"from": 1, "to": 10**16}, "/batch/to", ""),
    ],
)
async def test_a_batch_that_is_none_is_refused(served: Served, batch: object, pointer: str, message: str) -> None:
    reply = await submit(served, target="1:1", batch=batch, **ECHO)
    assert (reply.status, reply.pointers) == (422, [pointer]), reply.body
    assert message in reply.json["errors"][0]["message"]


async def test_a_batch_without_a_place_for_its_items_is_refused(served: Served) -> None:
    reply = await submit(served, target="1:1", batch=[1])
    assert (reply.status, reply.pointers) == (422, ["/args/args"])
    reply = await submit(served, target="1:1", batch=[1], fanout=2, **ECHO)
    assert (reply.status, reply.pointers) == (422, ["/fanout"])


@pytest.mark.parametrize(
    ("on", "ends", "expected"),
    [
        ("success", "OK", ("QUEUED", None)),
        ("success", "ERROR", ("ERROR", "DEPENDENCY_FAILED")),
        ("failure", "ERROR", ("QUEUED", None)),
        ("failure", "OK", ("KILLED", "CANCELLED")),
        ("always", "TIMEOUT", ("QUEUED", None)),
    ],
)
async def test_a_job_waits_for_another_one(
    served: Served, agent: WireAgent, on: str, ends: str, expected: tuple[str, str | None]
) -> None:
    await submit(served, "first", target="1:7")
    reply = await submit(served, "j", target="1:7", depends_on=[{"id": "first", "on": on}])
    assert (reply.status, reply.json["state"]) == (202, "BLOCKED")
    (waiting,) = await tasks(served)
    assert (waiting["state"], waiting["reason"]) == ("BLOCKED", "waits for job first")
    (command,) = await agent.poll()
    assert command["id"] == "first"
    await agent.run("first", state=ends)
    its = await until(served, "j", **{expected[0]: 1})
    assert its["depends_on"] == [{"id": "first", "href": "/api/v1/jobs/first", "on": on, "state": ends}]
    assert (await tasks(served))[0]["code"] == expected[1]


async def test_a_chain_of_jobs_ends_when_its_first_one_is_cancelled(served: Served, agent: WireAgent) -> None:
    await submit(served, "a", target="1:7")
    await submit(served, "b", target="1:7", depends_on=["a"])
    await submit(served, "c", target="1:7", depends_on=["b"])
    assert (await served.ask("DELETE", "/api/v1/jobs/a")).status == 202
    await until(served, "c", ERROR=1)
    assert (await job(served, "b"))["state"] == "ERROR"
    assert await agent.poll(wait_s=0) == []


async def test_a_job_that_waits_is_cancelled_like_any_other(served: Served, agent: WireAgent) -> None:
    await submit(served, "a", target="1:7")
    await submit(served, "b", target="1:7", depends_on=["a"])
    reply = await served.ask("DELETE", "/api/v1/jobs/b")
    assert (reply.json["state"], (await tasks(served, "b"))[0]["code"]) == ("KILLED", "CANCELLED")
    await run_all([agent])
    assert await agent.poll(wait_s=0) == []


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        (["none"], "/depends_on/0"),
        (["a", "none"], "/depends_on/1"),
        (["j"], "/depends_on/0"),
        (["a", "a"], "/depends_on/1"),
        ([""], "/depends_on/0"),
    ],
)
async def test_what_cannot_be_waited_for_is_refused(served: Served, wanted: object, pointer: str) -> None:
    await submit(served, "a", target="1:1")
    reply = await submit(served, target="1:1", depends_on=wanted)
    assert (reply.status, reply.pointers) == (422, [pointer]), reply.body


async def test_a_job_of_another_company_and_one_on_hidden_agents_are_as_none(served: Served, agent: WireAgent) -> None:
    await submit(served, "hidden", target="1:1")
    assert (await served.ask("POST", "/api/v1/companies", json={"name": "other"})).status == 201
    theirs = await served.token_of("eve", Role.OWNER, "other")
    limited = await served.token_of("bob", Role.OPERATOR)
    assert (
        await served.ask("PATCH", "/api/v1/users/bob", json={"agents": ["1:7"]}, headers={"If-Match": "*"})
    ).status == 200
    mine = {"cmd": "ping", "target": "1:7", "depends_on": ["hidden"]}
    nothing = {"cmd": "ping", "target": "1:7", "depends_on": ["nothing"]}
    hidden = await served.ask("POST", "/api/v1/jobs", json=mine, token=limited)
    missing = await served.ask("POST", "/api/v1/jobs", json=nothing, token=limited)
    assert (hidden.status, hidden.code, hidden.pointers) == (422, missing.code, missing.pointers)
    assert hidden.json["detail"].replace("hidden", "nothing") == missing.json["detail"]
    assert (await served.ask("GET", "/api/v1/jobs/hidden", token=theirs)).status == 404


async def test_a_few_at_a_time_and_none_any_more_after_too_many_failures(served: Served) -> None:
    agents = await fleet(served, 6)
    await submit(served, target="nid>=11", rolling={"size": "34%", "max_failures": 2})
    its = await until(served, "j", QUEUED=2, BLOCKED=4)
    assert its["rolling"] == {"size": 2, "max_failures": 2}
    assert (await tasks(served))[-1]["reason"] == "waits for its turn: at most 2 at once"
    assert await run_all(agents[:1], "ERROR") == ["j"]
    await until(served, "j", QUEUED=2, BLOCKED=3, ERROR=1)
    await run_all(agents[1:2], "TIMEOUT")
    its = await until(served, "j", ERROR=4, QUEUED=1)
    assert [one["code"] for one in (await tasks(served))[3:]] == ["ROLLOUT_STOPPED"] * 3
    await run_all(agents)
    assert (await job(served))["state"] == "ERROR"


async def test_a_task_waits_for_room_on_its_agent_and_gives_it_back(served: Served) -> None:
    agents = await fleet(served, 2, max_ram=1000, max_load=1.5)
    await submit(served, target="nid>=11", batch=[1, 2, 3, 4, 5], requires={"ram": 500, "load": 0.5}, **ECHO)
    await until(served, "j", QUEUED=4, BLOCKED=1)
    assert (await tasks(served))[-1]["reason"] == "waits for an agent with room"
    await run_all(agents[:1])
    await until(served, "j", OK=2, QUEUED=3)
    await run_all(agents)
    await until(served, "j", OK=5)


async def test_the_master_may_tighten_what_an_agent_declares(served: Served) -> None:
    (agent,) = await fleet(served, 1, max_jobs=5)
    assert (await served.ask("PATCH", "/api/v1/agents/1:11", json={"max_jobs": 1})).status == 200
    await submit(served, target="1:11", batch=[1, 2], **ECHO)
    await until(served, "j", QUEUED=1, BLOCKED=1)
    assert await run_all([agent]) == ["j:1"]
    await until(served, "j", OK=1, QUEUED=1)
    assert (await served.ask("PATCH", "/api/v1/agents/1:11", json={"max_jobs": 9})).json["max_jobs"] == 5


async def test_what_has_priority_goes_first(served: Served, agent: WireAgent) -> None:
    for name, priority in (("usual", 0), ("low", -5), ("high", 7), ("higher", 1000), ("high2", 7)):
        assert (await submit(served, name, target="1:7", priority=priority)).status == 202
    assert [one["id"] for one in await agent.poll()] == ["higher", "high", "high2", "usual", "low"]


async def test_agents_that_are_away_are_left_out_where_that_is_asked_for(served: Served) -> None:
    await fleet(served, 2)
    reply = await submit(served, target="*", away="skip")
    assert (reply.status, reply.json["skipped"], len(await tasks(served))) == (202, 1, 2)
    reply = await submit(served, "k", target="1:1", away="skip")
    assert (reply.status, reply.code) == (422, "no_matching_agent")
    assert "online" in reply.json["detail"]


async def test_a_job_has_as_many_tasks_as_it_may_and_they_are_listed_page_by_page(served: Served) -> None:
    count = limits.TASKS_PER_JOB
    agents = await fleet(served, 2)
    reply = await submit(served, target="nid>=11", batch={"from": 1, "to": count}, **ECHO)
    assert reply.status == 202
    found: list[int] = []
    cursor = ""
    while True:
        page = (await served.ask("GET", f"/api/v1/jobs/j/tasks?limit=1000{cursor}")).json
        found += [one["item"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(found) == list(range(1, count + 1))
    assert (await served.ask("DELETE", "/api/v1/jobs/j")).status == 202
    assert (await job(served))["state"] == "KILLED"
    assert [await one.poll(wait_s=0) for one in agents] == [[], []]


async def test_the_log_of_what_is_not_made_yet_is_empty_and_a_batch_on_one_agent_has_one(
    served: Served, agent: WireAgent
) -> None:
    await submit(served, "first", target="1:7")
    await submit(served, "waits", target="1:7", depends_on=["first"])
    await submit(served, "batch", target="1:7", batch=[1], **ECHO)
    for name in ("waits", "batch"):
        reply = await served.ask("GET", f"/api/v1/jobs/{name}/log")
        assert (reply.status, reply.json) == (200, {"items": [], "next": None})


async def test_what_fits_on_no_agent_ever_is_refused(served: Served) -> None:
    await fleet(served, 2, max_ram=1000, max_load=2.0)
    for requires, pointer in (({"ram": 1001}, "/requires/ram"), ({"load": 2.5}, "/requires/load")):
        reply = await submit(served, target="nid>=11", requires=requires)
        assert (reply.status, reply.pointers) == (422, [pointer])
    assert (await submit(served, target="nid>=11", requires={"ram": 1000, "load": 2})).status == 202


async def test_long_data_comes_to_many_agents_in_several_steps(served: Served) -> None:
    agents = await fleet(served, 12)
    reply = await submit(served, target="nid>=11", data="x" * 400_000)
    assert (reply.status, reply.json["state"]) == (202, "BLOCKED")
    await until(served, "j", QUEUED=12)
    assert await run_all(agents) == ["j"] * 12
    assert (await served.ask("POST", "/api/v1/jobs/j/rerun", json={})).code == "nothing_to_rerun"


async def test_what_has_ended_keeps_no_command_and_runs_again_with_its_data(served: Served, agent: WireAgent) -> None:
    await submit(served, target="1:7", data="told once")
    (first,) = await agent.poll(wait_s=0)
    await agent.run("j", state="ERROR")
    assert await served.seeded.redis.call("HEXISTS", keys.task(COMPANY, "j", agent.agent), "wire") == 0
    assert (await served.ask("POST", "/api/v1/jobs/j/rerun", json={"id": "k"})).status == 202
    (second,) = await agent.poll(wait_s=0)
    assert (second["id"], second["data_sha256"]) == ("k", first["data_sha256"])


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z"])
async def test_a_time_at_the_end_of_the_calendar_is_one(served: Served, moment: str) -> None:
    reply = await submit(served, target="1:1", not_after=moment)
    assert reply.status == 202, reply.body


async def test_what_waits_for_room_gets_it_by_its_priority_as_soon_as_there_is_some(served: Served) -> None:
    (agent,) = await fleet(served, 1, max_load=1.0)
    await submit(served, "first", target="1:11", requires={"load": 1})
    await until(served, "first", QUEUED=1)
    for name, priority in (("low", 1), ("high", 10), ("middle", 5)):
        await submit(served, name, target="1:11", requires={"load": 1}, priority=priority)
    redis = served.seeded.redis
    while await redis.call("ZCARD", f"{keys.prefix(COMPANY)}hungry") < 3:
        await sleep(served.clock, 0.01)
    assert (await served.ask("PATCH", "/api/v1/jobs/low", json={"priority": 20})).status == 200
    order = []
    for name in ("first", "low", "high", "middle"):
        await until(served, name, QUEUED=1)
        order += await run_all([agent])
    assert order == ["first", "low", "high", "middle"]


async def test_items_that_make_arguments_too_long_are_refused(served: Served) -> None:
    args = {"cmd": "/bin/echo", "args": ["$item"] * 1000}
    reply = await submit(served, target="1:1", batch=["x" * 1000], cmd="execute", args=args)
    assert (reply.status, reply.pointers) == (422, ["/args/args"])
    assert "characters of arguments" in reply.json["errors"][0]["message"]


async def test_long_arguments_come_to_an_agent_in_several_steps(served: Served) -> None:
    (agent,) = await fleet(served, 1)
    args = {"cmd": "/bin/echo", "args": ["$item", "x" * 90_000, "y" * 90_000]}
    assert (await submit(served, target="1:11", batch={"from": 1, "to": 40}, args=args)).status == 202
    await until(served, "j", QUEUED=40)
    done = 0
    while done < 40:
        done += len(await run_all([agent]))
    assert (await job(served))["state"] == "OK"


async def test_too_much_data_for_all_tasks_is_refused(served: Served) -> None:
    reply = await submit(served, target="1:1", batch={"from": 1, "to": 1000}, data="x" * 400_000, **ECHO)
    assert (reply.status, reply.pointers) == (422, ["/data"])


@pytest.mark.parametrize("more", [{"batch": [1], **ECHO}, {"depends_on": ["a"]}, {"rolling": {"size": 1}}])
async def test_a_plan_for_an_agent_that_is_not_there_is_refused(served: Served, more: Any) -> None:
    await submit(served, "a", target="1:1")
    reply = await submit(served, target="1:99", **more)
    assert (reply.status, reply.code) == (422, "no_matching_agent")


async def test_a_batch_whose_agents_are_all_revoked_ends(served: Served) -> None:
    await fleet(served, 2)
    await submit(served, "a", target="1:1")
    await submit(served, target="nid>=11", batch=[1, 2, 3], depends_on=["a"], **ECHO)
    for nid in (11, 12):
        assert (await served.ask("DELETE", f"/api/v1/agents/1:{nid}", headers={"If-Match": "*"})).status == 200
    assert (await served.ask("DELETE", "/api/v1/jobs/a")).status == 202
    await submit(served, "k", target="1:1", batch=[1], **ECHO)
    await until(served, "j", ERROR=3)


async def test_what_has_ended_in_front_of_it_holds_up_no_task(served: Served, agent: WireAgent) -> None:
    for number in range(450):
        await submit(served, f"c{number}", target="1:7")
    await submit(served, "live", target="1:7")
    for number in range(450):
        assert (await served.ask("DELETE", f"/api/v1/jobs/c{number}")).status == 202
    assert [one["id"] for one in await agent.poll()] == ["live"]


async def test_while_redis_is_nearly_full_no_more_tasks_are_made(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    (agent,) = await fleet(served, 1)

    async def full(_: object) -> float:
        return 0.96

    with monkeypatch.context() as patch:
        patch.setattr("deployer.stores.plans.memory_use", full)
        await submit(served, target="1:11", batch=[1, 2], **ECHO)
        assert not await run_all([agent])
        reply = await served.ask("POST", "/api/v1/jobs/j/tasks", json={"batch": [3]})
        assert (reply.status, reply.code) == (507, "no_space")
    await served.seeded.redis.call("ZADD", keys.PLANS, 0, f"{keys.prefix(COMPANY)}|j")
    await until(served, "j", QUEUED=2)
