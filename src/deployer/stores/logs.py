"""Streams of messages in Redis (DESIGN 6): written, read between two entries, thinned out with age.

A stream `log.<domain>.<name>` has what is new. What is older stands in tiers, `…:1` to `…:5`, each with fewer messages
than the one before it and under the ids that the entries had: read one behind the other they are one stream. An entry
has `m`, a JSON list of messages, and in a tier `i`, the places that these had at first: a place stays what it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from deployer.stores import keys, scripts
from deployer.stores.redis import Redis

END: Final = "+"
BEGIN: Final = "-"


class LogEntry(Struct, frozen=True):
    """One entry of a stream: its id, the JSON list of messages, the places of these when some were left out."""

    id: str
    messages: bytes
    places: Sequence[int] | None = None

    @property
    def ms(self) -> int:
        """When it was stored, in epoch ms of Redis."""
        return int(self.id.partition("-")[0])


class Said(Struct, frozen=True):
    """One new entry: its stream, how many messages it has, and these as a JSON list of `StoredMessage`."""

    stream: str
    count: int
    messages: bytes


class Moved(Struct, frozen=True):
    """An entry that leaves its tier: what stays of it (empty: nothing), where that stood, how much is left out."""

    id: str
    messages: bytes
    places: Sequence[int]
    left: int


class Grown(Struct, frozen=True):
    """Streams that have grown, and Redis' time (epoch ms) at which they were looked for."""

    now: int
    streams: Sequence[str]


class Logs:
    """Reads and keeps log streams."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def append(self, company: str, said: Sequence[Said]) -> int:
        """Store entries of what no agent has sent; how many messages found no stream of their name, or no company."""
        args = [part for one in said for part in (one.stream, one.count, one.messages)]
        lost: int = await self._redis.run(scripts.SAID, [keys.prefix(company), keys.company(company)], args)
        return lost

    async def entries(
        self, stream: str, first: str, last: str, count: int, order: Literal["asc", "desc"] = "asc"
    ) -> list[LogEntry]:
        """Entries from `first` to `last`, both included, oldest first, or newest first."""
        found = await self._redis.run(scripts.READ_LOG, [stream], [first, last, count, order])
        return [_entry(raw_id, fields) for raw_id, fields in found]

    async def heads(
        self, streams: Sequence[str], first: str, last: str, order: Literal["asc", "desc"]
    ) -> list[str | None]:
        """The ids of the entries with which `entries` of each of these streams would begin; None where it has none."""
        found = await self._redis.run(scripts.LOG_HEADS, streams, [first, last, order])
        return [raw.decode() or None for raw in found]

    async def streams(self, company: str, since_ms: int, count: int) -> list[tuple[str, int]]:
        """Streams that have grown since a time, each with when it last did (epoch ms), the newest first."""
        index = f"{keys.prefix(company)}logs:at"
        found = await self._redis.read("ZREVRANGEBYSCORE", index, "+inf", since_ms, "WITHSCORES", "LIMIT", 0, count)
        return [
            (raw.decode("utf-8", "replace"), int(float(at))) for raw, at in zip(found[::2], found[1::2], strict=True)
        ]

    async def grown(self, company: str, since_ms: int) -> Grown:
        """Those that have grown since a time: what is stored from now on has at least the time that is told."""
        index = f"{keys.prefix(company)}logs:at"
        found = await self._redis.reads([("TIME",), ("ZRANGEBYSCORE", index, since_ms, "+inf")])
        seconds, micros = found[0]
        return Grown(int(seconds) * 1000 + int(micros) // 1000, [raw.decode("utf-8", "replace") for raw in found[1]])

    async def left_out(self, company: str, streams: Sequence[str]) -> int:
        """How many messages of these streams were thinned out."""
        if not streams:
            return 0
        found = await self._redis.read("HMGET", f"{keys.prefix(company)}logs:left", *streams)
        return sum(int(raw) for raw in found if raw is not None and raw.isdigit())

    async def sizes(self, company: str) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes of each stream: what is open to thinning, and what is kept. From now on `total` is right."""
        prefix = keys.prefix(company)
        found = await self._redis.reads(
            [("ZRANGE", f"{prefix}{index}", 0, -1, "WITHSCORES") for index in ("logs", "logs:kept")]
        )
        open_, kept = (_scores(one) for one in found)
        await self._redis.call("SET", f"{prefix}logs:total", sum(open_.values()) + sum(kept.values()))
        return open_, kept

    async def total(self, company: str) -> int | None:
        """Bytes of all streams, without looking at each; None when that is not known."""
        raw = await self._redis.read("GET", f"{keys.prefix(company)}logs:total")
        return int(raw) if raw is not None and raw.isdigit() else None

    async def now(self) -> int:
        """Redis' time, epoch ms."""
        seconds, micros = await self._redis.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def index(self, company: str) -> int:
        """Know when streams of an earlier release began and last grew; how many there were."""
        prefix = keys.prefix(company)
        streams, known = await self._redis.reads(
            [("ZRANGE", f"{prefix}logs", 0, -1), ("ZRANGE", f"{prefix}logs:at", 0, -1)]
        )
        unknown = sorted(set(streams) - set(known))
        for stream in unknown:
            ends = await self._redis.reads(
                [("XRANGE", stream, BEGIN, END, "COUNT", 1), ("XREVRANGE", stream, END, BEGIN, "COUNT", 1)]
            )
            for index, found in zip(("logs:first:0", "logs:at"), ends, strict=True):
                if found:
                    ms = found[0][0].partition(b"-")[0]
                    await self._redis.call("ZADD", f"{prefix}{index}", "NX", ms, stream)
        return len(unknown)

    async def due(self, company: str, tier: int, before_ms: int, count: int) -> list[str]:
        """Streams whose oldest entry in a tier was stored before a time."""
        index = f"{keys.prefix(company)}logs:first:{tier}"
        found = await self._redis.read("ZRANGEBYSCORE", index, "-inf", before_ms, "LIMIT", 0, count)
        return [raw.decode("utf-8", "replace") for raw in found]

    async def oldest(self, stream: str, tier: int, before_ms: int | None, count: int) -> list[LogEntry]:
        """The oldest entries of a tier, those stored before a time (epoch ms) where one is given."""
        last = END if before_ms is None else str(before_ms)
        found = await self._redis.read("XRANGE", _tier(stream, tier), BEGIN, last, "COUNT", count)
        return [_entry(raw_id, fields) for raw_id, fields in found]

    async def move(self, company: str, stream: str, tiers: tuple[int, int], moved: Sequence[Moved]) -> int:
        """Take entries out of a tier, what stays of them into an older one; the bytes that went."""
        its = [keys.prefix(company), stream, _tier(stream, tiers[0]), _tier(stream, tiers[1])]
        arguments = [part for one in moved for part in (one.id, one.messages, _encode(one.places), one.left)]
        gone: int = await self._redis.run(scripts.THIN_LOG, its, [*tiers, *arguments])
        return gone

    async def forget(self, company: str, stream: str, part: Literal["open", "kept"]) -> int:
        """Nothing of this part of a stream is left, whatever is counted of it; 0 bytes went."""
        index = "logs:kept" if part == "kept" else "logs"
        await self._redis.call("ZREM", f"{keys.prefix(company)}{index}", stream)
        return 0


def _tier(stream: str, tier: int) -> str:
    return stream if tier == 0 else f"{stream}:{tier}"


def _entry(raw_id: bytes, fields: Sequence[bytes]) -> LogEntry:
    its: Mapping[bytes, bytes] = dict(zip(fields[::2], fields[1::2], strict=False))
    return LogEntry(raw_id.decode(), its.get(b"m", b""), _places(its.get(b"i")))


def _places(raw: bytes | None) -> Sequence[int] | None:
    try:
        return None if raw is None else _decode(raw)
    except msgspec.DecodeError:  # the stream's name is public: somebody else may have written this
        return None


def _scores(found: Sequence[bytes]) -> dict[str, int]:
    pairs = zip(found[::2], found[1::2], strict=True)
    return {raw.decode("utf-8", "replace"): int(float(size)) for raw, size in pairs if float(size) > 0}


_encode: Any = msgspec.json.Encoder().encode
_decode: Any = msgspec.json.Decoder(list[int]).decode
