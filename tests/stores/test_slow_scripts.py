"""No script of ours holds Redis up, however much is queued (RELIABILITY D5)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.endpoints import clientFromString

from deployer.model import limits
from deployer.protocol.ids import AgentId
from deployer.stores.agents import Session
from deployer.stores.jobs import Places
from deployer.stores.redis import Redis
from support.own_redis import OwnRedis
from support.seeded import COMPANY, NOW, Seeded, ok

AGENTS = 20
SLOW_US = 5000
TOGETHER = 500


@pytest_twisted.async_yield_fixture
async def full() -> AsyncIterator[tuple[Seeded, list[Session]]]:
    """As many open tasks as a company may have, over twenty agents, in a server that notes what is slow."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (a real server)

    server = OwnRedis(appendfsync="no", slowlog_log_slower_than=str(SLOW_US), slowlog_max_len="100000")
    server.start()
    clock: Any = reactor
    redis = Redis(clientFromString(clock, f"unix:{server.socket}"), clock, deadline_s=60)
    await redis.start(20)
    seeded = Seeded(redis)
    await seeded.install()
    agents = [await seeded.join(f"key {nid}", nid) for nid in range(1, AGENTS + 1)]
    sessions = [await seeded.session(agent) for agent in agents]
    for start in range(0, limits.OPEN_PER_COMPANY, TOGETHER):
        jobs = [_submit(seeded, number, agents) for number in range(start, start + TOGETHER)]
        assert set(await gatherResults(jobs)) == {"OK"}
    yield seeded, sessions
    await redis.stop()
    server.stop()


def _submit(seeded: Seeded, number: int, agents: list[AgentId]) -> Any:
    not_after = NOW - 1 if number % 10 == 0 else NOW + 10**9  # some have expired
    return ensureDeferred(seeded.submit(f"j{number}", agents[number % AGENTS], not_after=not_after))


@pytest.mark.long
async def test_with_a_hundred_thousand_queued_no_script_takes_long(full: tuple[Seeded, list[Session]]) -> None:
    seeded, sessions = full
    assert await seeded.submit("one-more") == "FULL"
    claimed = 0
    for session in sessions:
        for _ in range(5):
            claimed += await _work(seeded, session)
    assert claimed > AGENTS * 100
    while await seeded.jobs.expire(b"{}", NOW):
        pass
    for number in range(0, 1000, 7):
        await seeded.jobs.listed(COMPANY, Places(), 100)
        await seeded.jobs.job(COMPANY, f"j{number}")
    for session in sessions:  # what an agent had and did not accept comes again
        again = await seeded.session(session.agent)
        await seeded.agents.claim(again, 100)
    await seeded.agents.review_presence()
    await seeded.jobs.retire(COMPANY)
    await _check(seeded.redis)


async def _work(seeded: Seeded, session: Session) -> int:
    wires = await seeded.agents.claim(session, 100)
    ids = [wire.partition(b'"payload":"')[2].partition(b'"')[0].decode() for wire in wires]
    verdicts = await seeded.agents.accept(session, ids)
    started = [one for one, verdict in zip(ids, verdicts, strict=True) if verdict == "START"]
    await seeded.agents.finish(session, [ok(one) for one in started])
    return len(started)


async def _check(redis: Redis) -> None:
    """A server that the machine itself held up now and then is none of our scripts."""
    info: bytes = await redis.call("INFO", "commandstats")
    calls = sum(int(line.partition(b"calls=")[2].split(b",")[0]) for line in info.splitlines() if b"calls=" in line)
    slow = await redis.call("SLOWLOG", "GET", -1)
    assert calls > limits.OPEN_PER_COMPANY
    assert len(slow) < calls / 2000, [(one[2], one[3][:4]) for one in slow[:20]]
    mean = [line for line in info.splitlines() if line.startswith(b"cmdstat_evalsha")]
    assert mean, info
    assert float(mean[0].partition(b"usec_per_call=")[2].split(b",")[0]) < SLOW_US / 5
