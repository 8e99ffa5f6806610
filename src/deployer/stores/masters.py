"""Masters in Redis: each says every few seconds how it is, and what it failed at."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from deployer.errors import NotFoundError
from deployer.kit.unhandled import KEPT, Unhandled
from deployer.model.masters import MasterRecord
from deployer.stores import keys
from deployer.stores.lease import Lease
from deployer.stores.redis import Redis

WEIGHER_MS: Final = 60_000
GONE_MS: Final = 30_000
"""A master that has said nothing for so long is not listed."""

EXCEPTIONS_MS: Final = 7 * 86_400_000
SCANNED: Final = 200
"""Keys of one step of weighing: some milliseconds of Redis'."""


class Weight(Struct, frozen=True):
    """Bytes in Redis by kind of key, as found by a scan that ended then (epoch ms)."""

    at: int
    bytes: Mapping[str, int]


class Masters:
    """Records, exceptions, and what lies in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def tell(self, record: MasterRecord) -> None:
        """Write how a master is."""
        await self._redis.calls(
            [
                ("SET", keys.master(record.id), msgspec.json.encode(record), "PX", GONE_MS),
                ("ZADD", keys.MASTERS, record.seen, record.id),
                ("ZREMRANGEBYSCORE", keys.MASTERS, "-inf", record.seen - EXCEPTIONS_MS),
            ]
        )

    async def forget(self, id_: str) -> None:
        """A master that ends in order is not listed any more; its exceptions are."""
        await self._redis.call("DEL", keys.master(id_))

    async def listed(self) -> list[MasterRecord]:
        """Those that live, by their ids."""
        ids = sorted(raw.decode() for raw in await self._redis.read("ZRANGE", keys.MASTERS, 0, -1))
        raws = await self._redis.reads([("GET", keys.master(id_)) for id_ in ids])
        found = [self._record(id_, raw) for id_, raw in zip(ids, raws, strict=True)]
        return [one for one in found if one is not None]

    async def master(self, id_: str) -> MasterRecord:
        """One that lives; NotFoundError."""
        found = self._record(id_, await self._redis.read("GET", keys.master(id_)))
        if found is None:
            raise NotFoundError("this master does not exist, or has ended")
        return found

    def _record(self, id_: str, raw: bytes | None) -> MasterRecord | None:
        if raw is None:
            return None
        return self._redis.damage.read(keys.master(id_), lambda text: msgspec.json.decode(text, type=MasterRecord), raw)

    async def failed(self, id_: str, failures: Sequence[Unhandled]) -> None:
        """Keep exceptions, the last hundred of a master."""
        key = keys.master_exceptions(id_)
        await self._redis.calls(
            [
                ("LPUSH", key, *map(msgspec.json.encode, failures)),
                ("LTRIM", key, 0, KEPT - 1),
                ("PEXPIRE", key, EXCEPTIONS_MS),
            ]
        )

    async def exceptions(self, id_: str) -> list[Unhandled]:
        """The last hundred, the newest first; also of a master that has ended within a week. NotFoundError."""
        key = keys.master_exceptions(id_)
        raws = await self._redis.read("LRANGE", key, 0, -1)
        if not raws and await self._redis.read("ZSCORE", keys.MASTERS, id_) is None:
            raise NotFoundError("this master does not exist, or has ended")
        found = [
            self._redis.damage.read(key, lambda text: msgspec.json.decode(text, type=Unhandled), raw) for raw in raws
        ]
        return [one for one in found if one is not None]

    async def weigh(self, cursor: bytes, total: dict[str, int]) -> bytes:
        """Weigh some keys more; where to go on, `0` at the end."""
        following, found = await self._redis.call("SCAN", cursor, "COUNT", SCANNED)
        sizes = await self._redis.calls([("MEMORY", "USAGE", key) for key in found]) if found else []
        for key, size in zip(found, sizes, strict=True):
            kind = keys.kind(key.decode("utf-8", "replace"))
            total[kind] = total.get(kind, 0) + int(size or 0)
        next_one: bytes = following
        return next_one

    async def weighed(self, weight: Weight) -> None:
        """Keep what was found."""
        await self._redis.call("SET", keys.WEIGHT, msgspec.json.encode(weight))

    async def weight(self) -> Weight | None:
        """What was found last."""
        raw = await self._redis.read("GET", keys.WEIGHT)
        return (
            None
            if raw is None
            else self._redis.damage.read(keys.WEIGHT, lambda text: msgspec.json.decode(text, type=Weight), raw)
        )

    async def may_weigh(self, owner: str) -> bool:
        """Whether this master is the one that weighs for the next minute."""
        return await Lease(self._redis, keys.WEIGHER, owner, WEIGHER_MS).is_mine()

    async def open_tasks(self, companies: Sequence[str]) -> dict[str, int]:
        """Tasks that have not ended, by company."""
        raws = await self._redis.reads([("GET", f"{keys.prefix(company)}open") for company in companies])
        return {company: int(raw) if raw and raw.isdigit() else 0 for company, raw in zip(companies, raws, strict=True)}
