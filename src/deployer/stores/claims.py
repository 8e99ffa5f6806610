"""Who works on a request that may come twice, and what the answer was: kept for a day."""

from typing import Final

from deployer.errors import TooManyError
from deployer.model import retention
from deployer.stores import keys
from deployer.stores.redis import Redis

AGAIN_S: Final = 60.0


class Claims:
    """Claims of a company's requests, by the digests of their keys."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def claim(self, company: str, digest: str, value: bytes, now_ms: int) -> bytes | None:
        """Write `value` if nothing is there; else what is. TooManyError when the company has too many."""
        index = keys.claims(company)
        _, count = await self._redis.calls(
            [("ZREMRANGEBYSCORE", index, "-inf", now_ms - retention.CLAIM_MS), ("ZCARD", index)]
        )
        if count >= retention.CLAIMS_PER_COMPANY:
            raise TooManyError("too many requests with an Idempotency-Key within a day", AGAIN_S)
        key = keys.claim(company, digest)
        if await self._redis.call("SET", key, value, "NX", "PX", retention.CLAIM_MS):
            await self._redis.call("ZADD", index, now_ms, digest)
            return None
        found: bytes | None = await self._redis.call("GET", key)
        return found or await self.claim(company, digest, value, now_ms)

    async def keep(self, company: str, digest: str, value: bytes) -> None:
        """Write what the answer was in the place of the claim."""
        await self._redis.call("SET", keys.claim(company, digest), value, "XX", "PX", retention.CLAIM_MS)

    async def release(self, company: str, digest: str) -> None:
        """Nothing was done: whoever comes next may try."""
        await self._redis.calls([("DEL", keys.claim(company, digest)), ("ZREM", keys.claims(company), digest)])
