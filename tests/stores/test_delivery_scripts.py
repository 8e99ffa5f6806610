import pytest

from deployer.errors import NotFoundError, OtherInstanceError, StaleSessionError
from deployer.model import limits
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.stores import keys, scripts
from deployer.stores.jobs import JobDocument
from support.seeded import AGENT, COMPANY, INSTANCE, NOW, Seeded, ok, wire


async def test_a_job_goes_from_queued_to_its_result(seeded: Seeded) -> None:
    assert await seeded.submit("j") == "OK"
    assert await seeded.state("j") == "QUEUED"
    session = await seeded.session()
    assert await seeded.agents.claim(session, 10) == [wire("j")]
    assert await seeded.counts("j") == {"SENT": 1}
    assert await seeded.agents.accept(session, ["j"]) == ["START"]
    assert await seeded.counts("j") == {"RUNNING": 1}
    assert await seeded.agents.finish(session, [ok("j", "42")]) == ["OK"]
    assert await seeded.counts("j") == {"OK": 1}
    task = (await seeded.jobs.tasks(COMPANY, "j", 0, 10))[0]
    assert task.result == ok("j", "42")
    assert (await seeded.jobs.job(COMPANY, "j")).finished is not None


async def test_the_same_job_again_is_a_duplicate_and_another_body_a_conflict(seeded: Seeded) -> None:
    assert await seeded.submit("j", sha="a") == "OK"
    assert await seeded.submit("j", sha="a") == "DUP"
    assert await seeded.submit("j", sha="b") == "CONFLICT"
    session = await seeded.session()
    assert await seeded.agents.claim(session, 10) == [wire("j")]
    assert await seeded.agents.claim(session, 10) == []


async def test_a_job_for_an_agent_of_another_company_or_none_is_refused_whole(seeded: Seeded) -> None:
    assert await seeded.submit("j", AGENT, AgentId(1, 2)) == "NO_AGENT"
    with pytest.raises(NotFoundError):
        await seeded.jobs.job(COMPANY, "j")
    document = await _document(seeded)
    assert await seeded.jobs.submit("other", document, "sha", []) == "OK"
    with pytest.raises(NotFoundError):
        await seeded.jobs.job(COMPANY, "other-job")


async def _document(seeded: Seeded) -> JobDocument:
    await seeded.submit("template")
    document = (await seeded.jobs.job(COMPANY, "template")).document
    return JobDocument(**{name: getattr(document, name) for name in document.__struct_fields__} | {"id": "other-job"})


async def test_a_full_queue_refuses_and_takes_nothing(seeded: Seeded) -> None:
    await seeded.redis.call("SET", f"{keys.prefix(COMPANY)}open", limits.OPEN_PER_COMPANY)
    assert await seeded.submit("j") == "FULL"
    await seeded.redis.call("SET", f"{keys.prefix(COMPANY)}open", 0)
    await seeded.redis.call("RPUSH", f"{keys.agent(AGENT)}:queue", *["x"] * limits.QUEUE_PER_AGENT)
    assert await seeded.submit("j") == "FULL"


async def test_a_command_that_was_not_accepted_comes_again_in_its_old_order(seeded: Seeded) -> None:
    for job in ("a", "b", "c"):
        await seeded.submit(job)
    session = await seeded.session()
    arguments = [str(AGENT), session.epoch, 2, 0, 0, 10**6, 10**6]  # a lease of 0 ms has ended at once
    names = [keys.agent(AGENT), keys.prefix(COMPANY)]
    assert await seeded.redis.run(scripts.CLAIM, names, arguments) == [b"OK", [], b"a", wire("a"), b"b", wire("b")]
    assert await seeded.agents.claim(session, 10) == [wire("a"), wire("b"), wire("c")]


async def test_the_old_order_is_that_of_submission_and_not_of_names(seeded: Seeded) -> None:
    for job in ("c", "a", "b"):
        await seeded.submit(job)
    session = await seeded.session()
    arguments = [str(AGENT), session.epoch, 10, 0, 0, 10**6, 10**6]
    names = [keys.agent(AGENT), keys.prefix(COMPANY)]
    for _ in range(2):
        assert await seeded.redis.run(scripts.CLAIM, names, arguments) == [
            b"OK",
            [],
            b"c",
            wire("c"),
            b"a",
            wire("a"),
            b"b",
            wire("b"),
        ]
    assert await seeded.agents.claim(await seeded.session(), 10) == [wire("c"), wire("a"), wire("b")]
    assert await seeded.agents.claim(await seeded.session(), 10) == [wire("c"), wire("a"), wire("b")]


async def test_an_accepted_command_does_not_come_again(seeded: Seeded) -> None:
    await seeded.submit("a")
    first = await seeded.session()
    await seeded.agents.claim(first, 10)
    assert await seeded.agents.accept(first, ["a"]) == ["START"]
    second = await seeded.session()
    assert await seeded.agents.claim(second, 10) == []
    assert await seeded.agents.accept(second, ["a"]) == ["START"]


async def test_a_new_session_gets_at_once_what_the_old_one_did_not_accept(seeded: Seeded) -> None:
    await seeded.submit("a")
    await seeded.agents.claim(await seeded.session(), 10)
    assert await seeded.agents.claim(await seeded.session(), 10) == [wire("a")]


async def test_an_old_session_can_do_nothing(seeded: Seeded) -> None:
    await seeded.submit("a")
    old = await seeded.session()
    await seeded.agents.claim(old, 10)
    await seeded.session()
    for attempt in (
        seeded.agents.claim(old, 1),
        seeded.agents.accept(old, ["a"]),
        seeded.agents.finish(old, [ok("a")]),
        seeded.agents.log(old, "0" * 32, 1, []),
    ):
        with pytest.raises(StaleSessionError):
            await attempt


async def test_another_instance_is_refused_while_the_first_lives(seeded: Seeded) -> None:
    await seeded.session()
    with pytest.raises(OtherInstanceError):
        await seeded.session(instance="1" * 32)
    await seeded.redis.call("HSET", keys.agent(AGENT), "last_seen", 1)
    assert (await seeded.session(instance="1" * 32)).epoch == 2


async def test_only_the_instance_that_accepted_can_finish(seeded: Seeded) -> None:
    await seeded.submit("a")
    first = await seeded.session()
    await seeded.agents.claim(first, 1)
    await seeded.agents.accept(first, ["a"])
    await seeded.redis.call("HSET", keys.agent(AGENT), "last_seen", 1)
    second = await seeded.session(instance="1" * 32)
    assert await seeded.agents.accept(second, ["a"]) == ["CONFLICT"]
    assert await seeded.agents.finish(second, [ok("a")]) == ["CONFLICT"]
    assert await seeded.state("a") == "RUNNING"


async def test_the_first_result_stays_whatever_comes_later(seeded: Seeded) -> None:
    await seeded.submit("a")
    session = await seeded.session()
    await seeded.agents.claim(session, 1)
    await seeded.agents.accept(session, ["a"])
    other = Result(id="a", state="ERROR", reason="no")
    assert await seeded.agents.finish(session, [ok("a"), ok("a"), other]) == ["OK", "DUP", "CONFLICT"]
    assert await seeded.agents.accept(session, ["a"]) == ["DONE"]
    assert await seeded.counts("a") == {"OK": 1}


async def test_a_result_before_acceptance_or_for_no_task_is_refused(seeded: Seeded) -> None:
    await seeded.submit("a")
    session = await seeded.session()
    assert await seeded.agents.finish(session, [ok("a"), ok("never")]) == ["CONFLICT", "UNKNOWN"]
    assert await seeded.agents.accept(session, ["never"]) == ["UNKNOWN"]


async def test_cancelling_what_waits_ends_it_at_once(seeded: Seeded) -> None:
    await seeded.submit("a")
    session = await seeded.session()
    assert await seeded.jobs.cancel(COMPANY, b'{"id":"c","state":"KILLED"}', [("a", AGENT, "a:kill", b"k")]) == [
        "CANCELLED"
    ]
    assert await seeded.counts("a") == {"KILLED": 1}
    assert await seeded.agents.claim(session, 10) == []


async def test_cancelling_what_was_sent_stops_it_at_acceptance(seeded: Seeded) -> None:
    await seeded.submit("a")
    session = await seeded.session()
    await seeded.agents.claim(session, 10)
    await seeded.jobs.cancel(COMPANY, b'{"id":"c","state":"KILLED"}', [("a", AGENT, "a:kill", b"k")])
    assert await seeded.agents.accept(session, ["a"]) == ["CANCELLED"]


async def test_cancelling_what_runs_sends_one_kill_before_other_work(seeded: Seeded) -> None:
    await seeded.submit("a")
    session = await seeded.session()
    await seeded.agents.claim(session, 10)
    await seeded.agents.accept(session, ["a"])
    await seeded.submit("b")
    for _ in range(2):
        assert await seeded.jobs.cancel(COMPANY, b"{}", [("a", AGENT, "a:kill", wire("kill"))]) == ["KILLING"]
    assert await seeded.agents.claim(session, 10) == [wire("kill"), wire("b")]
    assert await seeded.agents.accept(session, ["a:kill"]) == ["START"]
    assert await seeded.agents.finish(session, [ok("a:kill"), ok("a")]) == ["OK", "OK"]
    assert await seeded.jobs.cancel(COMPANY, b"{}", [("a", AGENT, "a:kill", wire("kill"))]) == ["FINAL"]
    assert await seeded.redis.call("GET", f"{keys.prefix(COMPANY)}open") == b"1"  # b; a kill does not count


async def test_what_is_not_started_in_time_expires(seeded: Seeded) -> None:
    await seeded.submit("late", not_after=NOW)
    await seeded.submit("early", not_after=NOW + 5)
    assert await seeded.jobs.expire(b'{"id":"x","state":"ERROR","code":"EXPIRED"}', NOW) == 1
    assert await seeded.counts("late") == {"ERROR": 1}
    assert await seeded.counts("early") == {"QUEUED": 1}
    task = (await seeded.jobs.tasks(COMPANY, "late", 0, 1))[0]
    assert task.result is not None
    assert task.result.code == "EXPIRED"


async def test_a_running_task_does_not_expire(seeded: Seeded) -> None:
    await seeded.submit("a", not_after=NOW)
    session = await seeded.session()
    await seeded.agents.claim(session, 1)
    await seeded.agents.accept(session, ["a"])
    assert await seeded.jobs.expire(b"{}", NOW + 10) == 0
    assert await seeded.state("a") == "RUNNING"


async def test_finished_jobs_are_retired_with_all_their_keys(seeded: Seeded) -> None:
    await seeded.submit("a")
    await seeded.submit("b")
    session = await seeded.session()
    await seeded.agents.claim(session, 10)
    await seeded.agents.accept(session, ["a"])
    await seeded.agents.finish(session, [ok("a")])
    assert await seeded.jobs.retire(COMPANY) == 0
    await seeded.redis.call("ZADD", f"{keys.prefix(COMPANY)}finished", 1, "a")
    assert await seeded.jobs.retire(COMPANY) == 1
    with pytest.raises(NotFoundError):
        await seeded.jobs.job(COMPANY, "a")
    left = [key.decode() for key in await seeded.redis.call("KEYS", f"{keys.prefix(COMPANY)}*")]
    assert sorted({key.removeprefix(keys.prefix(COMPANY)) for key in left} - {"events:told"}) == [
        "agents",
        "events",
        "job:b",
        "job:b:tasks",
        "jobs",
        "open",
        "owners",
        "task:b@1:1",
        "tokens:dpj",
        "tokens:dpl",
        "user:admin",
        "users",
    ]


async def test_scripts_work_after_redis_forgot_them(seeded: Seeded) -> None:
    await seeded.submit("a")
    await seeded.redis.call("SCRIPT", "FLUSH")
    assert await seeded.submit("b") == "OK"


async def test_a_damaged_entry_in_a_queue_does_not_stop_the_others(seeded: Seeded) -> None:
    await seeded.redis.call("RPUSH", f"{keys.agent(AGENT)}:queue", "ghost", "\x00\xff", "string")
    await seeded.redis.call("SET", keys.task(COMPANY, "string", AGENT), "damaged")
    await seeded.redis.call("HSET", keys.task(COMPANY, "half", AGENT), "state", "QUEUED")
    await seeded.redis.call("RPUSH", f"{keys.agent(AGENT)}:queue", "half")
    await seeded.submit("good")
    assert await seeded.agents.claim(await seeded.session(), 10) == [wire("good")]


async def test_an_answer_to_a_poll_stays_within_its_bytes(seeded: Seeded) -> None:
    for job in ("a", "b", "c"):
        await seeded.submit(job)
    session = await seeded.session()
    arguments = [str(AGENT), session.epoch, 10, 30_000, 5_000, 32, 10**6]
    names = [keys.agent(AGENT), keys.prefix(COMPANY)]
    assert await seeded.redis.run(scripts.CLAIM, names, arguments) == [b"OK", [], b"a", wire("a"), b"b", wire("b")]
    assert session.instance == INSTANCE
