"""What has to be done from time to time by some master; each step is safe on several at once."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from twisted.application.service import MultiService

from deployer.dispatch.jobs import EXPIRED_RESULT, LOST_RESULT, REVOKED_RESULT
from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.kit.periodic import Periodic
from deployer.stores.agents import Agents
from deployer.stores.companies import Companies
from deployer.stores.installation import Installations
from deployer.stores.jobs import Jobs
from deployer.stores.plans import Plans
from deployer.stores.redis import Redis
from deployer.stores.server import memory_use

ROUNDS = 100


class Upkeep(MultiService):
    """Presence, expiry, retention, and the watch over Redis' memory. `present`: agents by state, a few seconds old."""

    def __init__(self, redis: Redis, clock: Clock, wall: WallClock) -> None:
        MultiService.__init__(self)
        self._memory_use = 0.0
        self.present: Mapping[str, int] = {"online": 0, "overdue": 0}
        self._redis = redis
        self._jobs, self._agents = Jobs(redis), Agents(redis)
        self._installations, self._companies = Installations(redis), Companies(redis)
        self._plans = Plans(redis)
        self._places: dict[str, int] = {}
        self._wall = wall
        self._clock = clock
        for what, period_s, work in (
            ("presence", 2.0, self._presence),
            ("expiry", 2.0, self._expiry),
            ("tasks of revoked agents", 2.0, self._revoked),
            ("retention", 30.0, self._retention),
            ("memory watch", 5.0, self._watch_memory),
            ("indexes of what is due", 30.0, self._reindex),
        ):
            self.every(what, period_s, work)

    def every(self, what: str, period_s: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do more: at once, and then every `period_s` seconds."""
        unless_away = partial(self._unless_away, work)
        MultiService.addService(self, Periodic(what, period_s, unless_away, self._clock, now=True))

    def memory(self) -> float:
        """The share of Redis' memory in use, a few seconds old."""
        return self._memory_use

    async def _unless_away(self, work: Callable[[], Awaitable[None]]) -> None:
        """While Redis is away or full there is nothing to keep up; the next round comes."""
        with contextlib.suppress(UnavailableError, NoSpaceError):
            await work()

    async def _presence(self) -> None:
        await self._agents.review_presence()
        self.present = await self._agents.present()

    async def _expiry(self) -> None:
        for _ in range(ROUNDS):
            if not await self._jobs.expire(EXPIRED_RESULT, epoch_ms(self._wall)):
                return

    async def _revoked(self) -> None:
        for _ in range(ROUNDS):
            if not await self._agents.abandon(REVOKED_RESULT, LOST_RESULT):
                return

    async def _retention(self) -> None:
        for company in await self._installations.companies():
            await self._retire(company)
        await self._companies.sweep()

    async def _retire(self, company: str) -> None:
        for _ in range(ROUNDS):
            if not await self._jobs.retire(company):
                return

    async def _reindex(self) -> None:
        companies = await self._installations.companies()
        self._places = {one: await self._plans.reindex(one, self._places.get(one, 0)) for one in companies}

    async def _watch_memory(self) -> None:
        self._memory_use = await memory_use(self._redis)
