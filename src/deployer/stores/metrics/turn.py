"""Which master puts numbers into the store, and which one keeps them in files of its own (DESIGN 3)."""

from typing import Final

from deployer.stores import keys
from deployer.stores.redis import Redis

TURN_MS: Final = 10_000
FILES_MS: Final = 30_000


class Turn:
    """`owner`: what tells this master from others, the same after a restart in the same data directory."""

    def __init__(self, redis: Redis, owner: str) -> None:
        self._redis = redis
        self._owner = owner

    async def is_mine(self) -> bool:
        """Whether this master is the one that stores numbers for the next seconds."""
        return await self._hold(keys.METRICS_WRITER, TURN_MS)

    async def may_keep_files(self) -> bool:
        """Whether this master is the only one that keeps numbers in files, and says so."""
        return await self._hold(keys.METRIC_FILES, FILES_MS)

    async def are_files_elsewhere(self) -> bool:
        """Whether another master keeps numbers in files, where nobody else sees them."""
        held = await self._redis.call("GET", keys.METRIC_FILES)
        return held is not None and held != self._owner.encode()

    async def let_go(self) -> None:
        """Others may have both at once."""
        for key in (keys.METRICS_WRITER, keys.METRIC_FILES):
            if await self._redis.call("GET", key) == self._owner.encode():
                await self._redis.call("DEL", key)

    async def _hold(self, key: str, ms: int) -> bool:
        if await self._redis.call("SET", key, self._owner, "NX", "PX", ms):
            return True
        if await self._redis.call("GET", key) != self._owner.encode():
            return False
        await self._redis.call("PEXPIRE", key, ms)
        return True
