"""Numbers over time in Redis: a bounded stream for the metric store to take from, and the last ones of each agent.

An entry of the stream has `agent`, `gid:nid`, and `f`, a JSON list of flushes of at most 64 kB. Whoever takes entries
out reduces `…:bytes` by the length of their `f`. The oldest go when there are too many entries or bytes.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

from deployer.errors import StaleSessionError
from deployer.model import retention
from deployer.model.current import Row, kept_s
from deployer.model.presence import TOUCH_MS
from deployer.protocol.ids import AgentId
from deployer.protocol.stats import Flush
from deployer.stores import keys, scripts
from deployer.stores.agents import Session
from deployer.stores.redis import Redis


class PointEntry(Struct, frozen=True):
    """One entry of the stream."""

    id: str
    agent: AgentId
    flushes: Sequence[Flush]


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
        return [
            PointEntry(raw_id.decode(), AgentId.parse(fields[1].decode()), _flushes(fields[3]))
            for raw_id, fields in found
        ]

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


_encode = msgspec.json.Encoder().encode
_rows = msgspec.json.Decoder(list[Row]).decode
_flushes = msgspec.json.Decoder(list[Flush]).decode
