"""Work that one master at a time does: whoever holds the key, for as long as it says so again in time."""

from deployer.stores import scripts
from deployer.stores.redis import Redis


class Lease:
    """`owner`: what tells this master from others; `ms`: how long the key is held without being renewed."""

    def __init__(self, redis: Redis, key: str, owner: str, ms: int) -> None:
        self._redis = redis
        self._key = key
        self._owner = owner
        self._ms = ms

    async def is_mine(self) -> bool:
        """Take it or keep it; whether this master has it for the next while."""
        return bool(await self._redis.run(scripts.LEASE, [self._key], [self._owner, self._ms]))

    async def is_elsewhere(self) -> bool:
        """Whether another master has it."""
        held = await self._redis.read("GET", self._key)
        return held is not None and held != self._owner.encode()

    async def let_go(self) -> None:
        """Another one may have it at once."""
        await self._redis.run(scripts.LEASE, [self._key], [self._owner, 0])
