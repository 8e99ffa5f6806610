"""Tells the master what the host is: at the start, when it has changed, and once a day (wire.py 8)."""

import random
from collections.abc import Awaitable, Callable
from typing import Final

from deployer.kit.clock import Clock
from deployer.kit.periodic import Periodic
from deployer.protocol.facts import FactsAnswer, HostFacts, encode
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.newest import newest_lane
from deployer_agent.link.requests import Requests
from deployer_agent.outbox.newest import NewestOutbox

PERIOD_S: Final = 3600.0
JITTER: Final = 0.1
"""The share by which each agent's period is longer or shorter, so that those that started together drift apart."""


class FactsLink:
    """Reads the facts (`read` must not hold up the reactor) every hour or so, on a lane of its own."""

    def __init__(
        self,
        requests: Requests,
        read: Callable[[], Awaitable[HostFacts]],
        clock: Clock,
        complaints: Complaints,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._read = read
        self._outbox = NewestOutbox("the facts of this host", clock)
        self._lane = newest_lane(("facts", FactsAnswer), self._outbox, requests, clock, complaints)
        period_s = PERIOD_S * uniform(1 - JITTER, 1 + JITTER)
        self._periodic = Periodic("reading the facts of this host", period_s, self._look, clock, now=True)

    def open(self) -> None:
        """Begin at once."""
        self._lane.open()
        self._periodic.startService()

    async def close(self) -> None:
        """Tell no more."""
        self._periodic.stopService()
        await self._lane.close()

    async def _look(self) -> None:
        self._outbox.offer(encode(await self._read()))
