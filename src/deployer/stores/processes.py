"""What runs on agents, as each said last."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from deployer.errors import StaleSessionError
from deployer.model.presence import TOUCH_MS
from deployer.model.retention import PROCESSES_S
from deployer.protocol.ids import AgentId
from deployer.protocol.processes import LiveProcess, ProcessList
from deployer.stores import keys, scripts
from deployer.stores.agents import Session
from deployer.stores.redis import Redis


class Running(Struct, frozen=True):
    """What an agent said at `heard` (epoch ms); `more` processes were not on its list."""

    heard: int
    processes: Sequence[LiveProcess]
    more: int = 0


NOTHING = Running(0, [])


class Processes:
    """Keeps and finds them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, session: Session, listed: ProcessList, now_ms: int) -> None:
        """Replace what an agent said before; StaleSessionError for a session that is over."""
        named = [keys.agent(session.agent), keys.prefix(session.company), keys.processes(session.agent)]
        body = _encode(Running(now_ms, listed.processes, listed.more))
        answer = await self._redis.run(
            scripts.PROCESSES, named, [str(session.agent), session.epoch, TOUCH_MS, PROCESSES_S, body]
        )
        if answer == b"STALE":
            raise StaleSessionError("a newer session of this agent has taken over")

    async def of(self, agents: Sequence[AgentId]) -> list[Running]:
        """What runs on each of these agents."""
        if not agents:
            return []
        found = await self._redis.call("MGET", *map(keys.processes, agents))
        read = self._redis.damage.read
        return [read(keys.processes(one), _running, raw) or NOTHING for one, raw in zip(agents, found, strict=True)]


_encode = msgspec.json.Encoder().encode
_running = msgspec.json.Decoder(Running).decode
