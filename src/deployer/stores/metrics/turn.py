"""Which master puts numbers into the store, and which one keeps them in files of its own (DESIGN 3)."""

from typing import Final

from deployer.stores import keys
from deployer.stores.lease import Lease
from deployer.stores.redis import Redis

TURN_MS: Final = 10_000
FILES_MS: Final = 30_000


class Turn:
    """`owner`: what tells this master from others, the same after a restart in the same data directory."""

    def __init__(self, redis: Redis, owner: str) -> None:
        self.writing = Lease(redis, keys.METRICS_WRITER, owner, TURN_MS)
        self.files = Lease(redis, keys.METRIC_FILES, owner, FILES_MS)

    async def let_go(self) -> None:
        """Others may have both at once."""
        await self.writing.let_go()
        await self.files.let_go()
