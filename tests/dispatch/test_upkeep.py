from twisted.internet.task import Clock

from deployer.dispatch.upkeep import Upkeep
from deployer.kit.clock import Clock as AnyClock
from deployer.stores import keys
from support.seeded import AGENT, COMPANY, NOW, Seeded
from support.served import Served


async def _round(served: Served, upkeep: Upkeep, clock: Clock, seconds: float) -> None:
    """Let some time pass, and what it starts come to its end."""
    clock.advance(seconds)
    await served.seeded.redis.call("PING")
    await served.seeded.redis.call("PING")
    assert upkeep.running


def _started(served: Served, wall: float) -> tuple[Upkeep, Clock]:
    clock = Clock()
    as_clock: AnyClock = clock
    upkeep = Upkeep(served.seeded.redis, as_clock, lambda: wall)
    upkeep.startService()
    return upkeep, clock


async def test_what_is_not_started_in_time_expires_by_itself(served: Served) -> None:
    seeded: Seeded = served.seeded
    await seeded.submit("late", not_after=NOW)
    upkeep, clock = _started(served, NOW / 1000 + 1)
    await _round(served, upkeep, clock, 2.0)
    assert await seeded.counts("late") == {"ERROR": 1}
    await upkeep.stopService()


async def test_silent_agents_become_overdue_by_themselves(served: Served) -> None:
    seeded = served.seeded
    await seeded.session()
    await seeded.redis.call("ZADD", keys.SEEN_ONLINE, "XX", 1, str(AGENT))
    upkeep, clock = _started(served, 0)
    await _round(served, upkeep, clock, 2.0)
    assert (await seeded.agents.agent(COMPANY, AGENT)).state == "overdue"
    await upkeep.stopService()


async def test_while_redis_is_away_nothing_fails_and_afterwards_all_goes_on(served: Served) -> None:
    seeded = served.seeded
    await seeded.submit("late", not_after=NOW)
    await seeded.redis.stop()
    upkeep, clock = _started(served, NOW / 1000 + 1)
    clock.advance(60)
    await seeded.redis.start(10)
    await _round(served, upkeep, clock, 2.0)
    assert await seeded.counts("late") == {"ERROR": 1}
    await upkeep.stopService()
