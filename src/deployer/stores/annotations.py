"""Annotations of a company in Redis: what somebody says has happened when, to be drawn beside its series."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from deployer.stores import keys
from deployer.stores.redis import Redis

MOST: Final = 10_000
"""The newest are kept."""


class Annotation(Struct, frozen=True):
    """One. `when`: epoch seconds."""

    id: int
    when: int
    what: str
    data: str
    tags: Sequence[str]


class Annotations:
    """Keeps and finds them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, company: str, when: int, what: str, data: str, tags: Sequence[str]) -> Annotation:
        """Keep one more; the oldest goes when there are too many."""
        key = keys.annotations(company)
        made = Annotation(int(await self._redis.call("INCR", f"{key}:last")), when, what, data, tags)
        await self._redis.call("ZADD", key, when, msgspec.json.encode(made))
        await self._redis.call("ZREMRANGEBYRANK", key, 0, -MOST - 1)
        return made

    async def between(self, company: str, start: int, end: int, count: int) -> list[Annotation]:
        """The newest so many between two times (epoch seconds, both included), newest first."""
        key = keys.annotations(company)
        found = await self._redis.call("ZREVRANGEBYSCORE", key, end, start, "LIMIT", 0, count)
        read = self._redis.damage.read
        return [one for raw in found if (one := read(key, _decode, raw)) is not None]


_decode = msgspec.json.Decoder(Annotation).decode
