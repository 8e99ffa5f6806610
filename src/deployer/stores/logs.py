"""Streams of messages in Redis (DESIGN 6): read between two entries, bounded by bytes."""

from collections.abc import Sequence

from msgspec import Struct

from deployer.model import retention
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis


class LogEntry(Struct, frozen=True):
    """One entry of a stream: its id and the JSON list of messages."""

    id: str
    messages: bytes


class Said(Struct, frozen=True):
    """One new entry: its stream, how many messages it has, and these as a JSON list of `StoredMessage`."""

    stream: str
    count: int
    messages: bytes


class Logs:
    """Reads log streams and keeps each company within its bytes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def append(self, company: str, said: Sequence[Said]) -> int:
        """Store entries of what no agent has sent; how many messages found no stream of their name."""
        args = [part for one in said for part in (one.stream, one.count, one.messages)]
        lost: int = await self._redis.run(scripts.SAID, [keys.prefix(company)], args)
        return lost

    async def entries(self, stream: str, first: str, last: str, count: int) -> list[LogEntry]:
        """Entries from `first` to `last`, both included, oldest first."""
        found = await self._redis.read("XRANGE", stream, first, last, "COUNT", count)
        return [LogEntry(raw_id.decode(), fields[1]) for raw_id, fields in found]

    async def trim(self, company: str) -> int:
        """Remove the oldest messages of the largest stream while the company is over its bytes; the bytes that went."""
        index = f"{keys.prefix(company)}logs"
        largest = await self._redis.call("ZREVRANGE", index, 0, 0)
        if not largest:
            return 0
        bound = retention.LOG_BYTES_PER_COMPANY
        gone: int = await self._redis.run(scripts.TRIM_LOGS, [index, largest[0].decode()], [bound])
        return gone
