"""`cmds_queue`, `cmds_queue_<id>` and `cmds_queue:bad`: lists that programs of others read and write (DESIGN 6)."""

from typing import Final

import msgspec

from deployer.model import retention
from deployer.stores import keys
from deployer.stores.lease import Lease
from deployer.stores.redis import Redis

LOCK_MS: Final = 10_000
BAD_ENTRIES: Final = 1000


class CommandQueue:
    """The queues of all companies. `ear` is a connection of its own, since waiting blocks it."""

    def __init__(self, redis: Redis, ear: Redis, default_company: str) -> None:
        self._redis = redis
        self._ear = ear
        self._default = default_company

    async def is_mine(self, owner: str) -> bool:
        """Whether this master is the one that takes commands for the next seconds."""
        return await Lease(self._redis, keys.MOVER, owner, LOCK_MS).is_mine()

    async def wait(self, seconds: float) -> None:
        """Until the default company's queue has something, at most so long. It stays where it is."""
        queue = self._queue(self._default)
        await self._ear.call("BLMOVE", queue, queue, "LEFT", "LEFT", f"{seconds:g}")

    async def first(self, company: str, count: int) -> list[bytes]:
        """The entries that came first."""
        entries: list[bytes] = await self._redis.call("LRANGE", self._queue(company), 0, count - 1)
        return entries

    async def done(self, company: str, entry: bytes) -> None:
        """It is a job now, and durable."""
        await self._redis.call("LREM", self._queue(company), 1, entry)

    async def answer(self, company: str, entry: bytes, id_: str, result: bytes) -> None:
        """Tell who waits that it never becomes a job."""
        reply = self.reply(company) + id_
        pushed = ("RPUSH", reply, result), ("PEXPIRE", reply, retention.REPLY_MS)
        await self._redis.calls([*pushed, ("LREM", self._queue(company), 1, entry)])

    async def set_aside(self, company: str, entry: bytes, reason: str) -> None:
        """Keep what nobody can be told of, the newest thousand."""
        bad = f"{self._queue(company)}:bad"
        kept = msgspec.json.encode({"reason": reason, "entry": entry[:65536].decode("utf-8", "replace")})
        await self._redis.calls(
            [("RPUSH", bad, kept), ("LTRIM", bad, -BAD_ENTRIES, -1), ("LREM", self._queue(company), 1, entry)]
        )

    def reply(self, company: str) -> str:
        """In front of the id, where the results of a company's commands come."""
        return f"{self._queue(company)}_"

    def _queue(self, company: str) -> str:
        return keys.command_queue(None if company == self._default else company)
