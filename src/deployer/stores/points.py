"""Numbers over time in Redis: a bounded stream for the metric store to take from, and the last ones of each agent.

An entry of the stream has `agent`, `gid:nid`, and `f`, a JSON list of flushes; or `d`, a JSON list of data of what is
no agent; each at most 64 kB. The oldest go when there are too many entries or bytes.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from deployer.errors import StaleSessionError
from deployer.model import retention
from deployer.model.current import Row, kept_s
from deployer.model.presence import TOUCH_MS
from deployer.model.series import Datum
from deployer.protocol.ids import AgentId
from deployer.protocol.stats import Flush
from deployer.stores import keys, scripts
from deployer.stores.agents import Session
from deployer.stores.redis import Redis

DATA_AN_ENTRY: Final = 1000
ENTRIES_A_CALL: Final = 50


class PointEntry(Struct, frozen=True):
    """One entry of the stream: flushes of an agent, or data of series. Without either it is damaged."""

    id: str
    agent: AgentId | None = None
    flushes: Sequence[Flush] = ()
    data: Sequence[Datum] = ()


class Kept(Struct, frozen=True):
    """What became of a batch: the highest stored number, whether it is new, how many old entries went for it."""

    acked: int
    fresh: bool
    gone: int


class Bounds(Struct, frozen=True):
    """Most entries and bytes of a company's stream."""

    entries: int = retention.POINT_ENTRIES_PER_COMPANY
    size: int = retention.POINT_BYTES_PER_COMPANY


USUAL = Bounds()


class Points:
    """Stores what agents post, gives the last numbers of each."""

    def __init__(self, redis: Redis, bounds: Bounds = USUAL) -> None:
        self._redis = redis
        self._bounds = bounds

    async def store(self, session: Session, boot: str, seq: int, flushes: Sequence[Flush]) -> Kept:
        """Store one batch, once."""
        named = [keys.agent(session.agent), keys.prefix(session.company), keys.points(session.company)]
        fixed = [str(session.agent), session.epoch, TOUCH_MS, boot, seq, self._bounds.entries, self._bounds.size]
        answer = await self._redis.run(scripts.POINTS, named, [*fixed, *packed(flushes)])
        if answer[0] == b"STALE":
            raise StaleSessionError("a newer session of this agent has taken over")
        return Kept(int(answer[1]), answer[2] == 1, answer[3])

    async def entries(self, company: str, first: str, count: int) -> list[PointEntry]:
        """Entries of a company from an id on, oldest first."""
        found = await self._redis.call("XRANGE", keys.points(company), first, "+", "COUNT", count)
        return [_entry(raw_id.decode(), fields) for raw_id, fields in found]

    async def spool(self, company: str, data: Sequence[Datum]) -> int:
        """Keep what is no agent's until it is in the metric store; how many old entries went for it.

        Of a company that is no more nothing is kept.
        """
        gone = 0
        for part in _some(spooled(data), ENTRIES_A_CALL):
            arguments = [self._bounds.entries, self._bounds.size, *part]
            gone += await self._redis.run(scripts.SPOOL, [keys.points(company), keys.company(company)], arguments)
        return gone

    async def stored(self, company: str, ids: Sequence[str]) -> None:
        """These entries are in the metric store."""
        await self._redis.run(scripts.STORED, [keys.points(company)], ids)

    async def current(self, agents: Sequence[AgentId]) -> list[list[Row]]:
        """The last numbers of each agent, none where there are none."""
        if not agents:
            return []
        found = await self._redis.call("MGET", *map(keys.current, agents))
        read = self._redis.damage.read
        return [read(keys.current(one), _rows, raw) or [] for one, raw in zip(agents, found, strict=True)]

    async def keep_current(self, agent: AgentId, rows: Sequence[Row]) -> None:
        """Replace an agent's last numbers."""
        if rows:
            await self._redis.call("SET", keys.current(agent), _encode(rows), "EX", kept_s(rows))


def packed(flushes: Sequence[Flush]) -> list[bytes]:
    """JSON lists of flushes, none longer than an entry may be; what is longer is divided."""
    lists: list[bytes] = []
    held: list[bytes] = []
    size = 2
    for one in _pieces(flushes):
        if held and size + len(one) + 1 > retention.POINT_ENTRY_BYTES:
            lists.append(b"[%b]" % b",".join(held))
            held, size = [], 2
        held.append(one)
        size += len(one) + 1
    return [*lists, b"[%b]" % b",".join(held)] if held else lists


def _pieces(flushes: Sequence[Flush]) -> Iterator[bytes]:
    for flush in flushes:
        encoded, count = _encode(flush), len(flush.points)
        if len(encoded) <= retention.POINT_ENTRY_BYTES - 3 or count == 1:
            yield encoded
            continue
        parts = min(len(encoded) // (retention.POINT_ENTRY_BYTES - 100) + 1, count)
        cuts = [count * part // parts for part in range(parts + 1)]
        yield from _pieces([Flush(flush.at, flush.step, flush.points[a:b]) for a, b in pairwise(cuts)])


def spooled(data: Sequence[Datum]) -> list[bytes]:
    """JSON lists of data, none longer than an entry may be."""
    lists: list[bytes] = []
    for part in _some(data, DATA_AN_ENTRY):
        encoded = _encode(part)
        if len(encoded) > retention.POINT_ENTRY_BYTES and len(part) > 1:
            half = len(part) // 2
            lists += [*spooled(part[:half]), *spooled(part[half:])]
        else:
            lists.append(encoded)
    return lists


def _entry(id_: str, fields: Sequence[bytes]) -> PointEntry:
    """Who may write to Redis may have written anything here: what cannot be read is an entry without points."""
    its = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        if b"d" in its:
            return PointEntry(id_, data=_data(its[b"d"]))
        return PointEntry(id_, AgentId.parse(its[b"agent"].decode()), _flushes(its[b"f"]))
    except (KeyError, ValueError, RecursionError):
        return PointEntry(id_)


_T = TypeVar("_T")


def _some(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    return (items[first : first + most] for first in range(0, len(items), most))


_encode = msgspec.json.Encoder().encode
_rows = msgspec.json.Decoder(list[Row]).decode
_flushes = msgspec.json.Decoder(list[Flush]).decode
_data = msgspec.json.Decoder(list[Datum]).decode
