"""Monitors in Redis, and how their thresholds stand."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from deployer.errors import ChangedError, ConflictError, DeployerError, InvalidError, NotFoundError
from deployer.model import limits
from deployer.model.access import AgentSet
from deployer.model.monitors import MAX_THRESHOLDS, Watched
from deployer.protocol.ids import AgentId
from deployer.stores import keys, scripts
from deployer.stores.companies import new_version
from deployer.stores.redis import Redis

READ: Final = 100


class Standing(Struct, frozen=True):
    """How a threshold stands: broken since then, and told then (Redis time, ms); `value` is that of its beginning."""

    since: int | None = None
    told: int | None = None
    value: str = ""


class Monitor(Struct, frozen=True):
    """A monitor as it stands, with one standing for each threshold."""

    watched: Watched
    version: str
    standings: Sequence[Standing]

    @property
    def agent(self) -> AgentId:
        """Where its processes are."""
        return AgentId.parse(self.watched.agent)


class Due(Struct, frozen=True):
    """A threshold of a company's monitor that is to be told."""

    company: str
    id: str
    number: int


class Monitors:
    """Finds, makes, changes and removes monitors."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def monitor(self, company: str, id_: str) -> Monitor:
        """One; NotFoundError when the company has none of this id."""
        (found,) = await self._monitors(company, [id_])
        if found is None:
            raise NotFoundError("this monitor does not exist")
        return found

    async def listed(self, company: str, after: str | None, count: int, only: AgentSet = None) -> list[Monitor]:
        """Monitors by their making, those after `after`, those of the agents among `only` when that is given."""
        found: list[Monitor] = []
        while len(found) < count:
            start = "-" if after is None else f"({after}"
            ids = await self._redis.read("ZRANGEBYLEX", keys.monitors(company), start, "+", "LIMIT", 0, READ)
            if not ids:
                break
            after = ids[-1].decode("utf-8", "replace")
            page = await self._monitors(company, [raw.decode("utf-8", "replace") for raw in ids])
            found += [one for one in page if one is not None and (only is None or one.agent in only)]
        return found[:count]

    async def of_agent(self, company: str, agent: AgentId) -> list[Monitor]:
        """All that watch an agent's processes."""
        ids = await self._redis.read("SMEMBERS", keys.monitors(company, agent))
        if not ids:
            return []
        found = await self._monitors(company, sorted(raw.decode("utf-8", "replace") for raw in ids))
        return [one for one in found if one is not None]

    async def put(self, company: str, watched: Watched, version: str = "") -> None:
        """Keep a new one, or another one in the place of `version`.

        InvalidError without the agent, ConflictError when there are too many, ChangedError, NotFoundError.
        """
        agent = AgentId.parse(watched.agent)
        bounds = [limits.MONITORS_PER_COMPANY, limits.MONITORS_PER_AGENT, MAX_THRESHOLDS]
        given = [watched.id, watched.agent, version, new_version(), _encode(watched), *bounds]
        _require(await self._redis.run(scripts.MONITOR, [keys.prefix(company), keys.agent(agent)], given))

    async def drop(self, company: str, known: Monitor) -> None:
        """Remove one; ChangedError when it is not any more as it was read."""
        given = [known.watched.id, known.watched.agent, known.version, MAX_THRESHOLDS]
        _require(await self._redis.run(scripts.DROP_MONITOR, [keys.prefix(company)], given))

    async def note(self, company: str, known: Monitor, broken: Sequence[bool], values: Sequence[str]) -> int:
        """Note which of its thresholds are broken; how many were not before, or are not any more."""
        given: list[object] = [known.watched.id, known.version]
        each = zip(broken, values, known.watched.thresholds, strict=True)
        for number, (is_broken, value, threshold) in enumerate(each):
            given += (number, int(is_broken), value, threshold.for_s * 1000)
        changed: int = await self._redis.run(scripts.WATCH, [keys.prefix(company)], given)
        return changed

    async def due(self) -> list[Due]:
        """Thresholds that are to be told by now, of all companies."""
        seconds, micros = await self._redis.call("TIME")
        now = int(seconds) * 1000 + int(micros) // 1000
        raws = await self._redis.read("ZRANGEBYSCORE", keys.BREACHES, "-inf", now, "LIMIT", 0, READ)
        found = [(raw, _due(raw)) for raw in raws]
        for raw, one in found:
            if one is None:
                await self._redis.call("ZREM", keys.BREACHES, raw)
        return [one for _, one in found if one is not None]

    async def tell(self, company: str, known: Monitor, number: int, stream: str, entry: bytes) -> bool:
        """Tell that a threshold is broken; False when it is not any more, or another master has."""
        named = [keys.prefix(company), keys.agent(known.agent), stream]
        told: int = await self._redis.run(scripts.BREACH, named, [known.watched.id, known.version, number, entry])
        return told == 1

    async def forget(self, due: Due) -> None:
        """It is not to be told: its monitor is gone."""
        member = f"{keys.prefix(due.company)}|{due.id}|{due.number}"
        await self._redis.call("ZREM", keys.BREACHES, member)

    async def _monitors(self, company: str, ids: Sequence[str]) -> list[Monitor | None]:
        replies = await self._redis.reads([("HGETALL", keys.monitor(company, one)) for one in ids])
        return [self._monitor(company, one, reply or []) for one, reply in zip(ids, replies, strict=True)]

    def _monitor(self, company: str, id_: str, flat: Sequence[bytes]) -> Monitor | None:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if not fields:
            return None
        try:
            watched = _watched(fields[b"doc"])
            AgentId.parse(watched.agent)
            standings = [_standing(fields, number) for number in range(len(watched.thresholds))]
            return Monitor(watched, fields[b"version"].decode(), standings)
        except (ValueError, KeyError, RecursionError):
            self._redis.damage.found(keys.monitor(company, id_))
            return None


_encode = msgspec.json.Encoder().encode
_watched = msgspec.json.Decoder(Watched).decode
_REFUSALS: Final[dict[bytes, DeployerError]] = {
    b"GONE": NotFoundError("this monitor does not exist"),
    b"CHANGED": ChangedError("this monitor has changed since it was read: read it again"),
    b"NO_AGENT": InvalidError("/agent", "the company has no such agent", "no_matching_agent"),
    b"FULL": ConflictError(
        f"a company has at most {limits.MONITORS_PER_COMPANY} monitors, an agent {limits.MONITORS_PER_AGENT}"
    ),
}


def _require(answer: bytes) -> None:
    if answer != b"OK":
        raise _REFUSALS[answer]


def _standing(fields: dict[bytes, bytes], number: int) -> Standing:
    since, told, value = (fields.get(b"%b:%d" % (name, number)) for name in (b"since", b"told", b"value"))
    return Standing(None if since is None else int(since), None if told is None else int(told), (value or b"").decode())


def _due(raw: bytes) -> Due | None:
    parts = raw.decode("utf-8", "replace").split("|")
    if len(parts) != 3 or not parts[2].isdecimal():  # noqa: PLR2004 (prefix, monitor, number)
        return None
    names = parts[0].split(":")
    return Due(names[2], parts[1], int(parts[2])) if len(names) == 4 else None  # noqa: PLR2004 (dpl, c, company, nothing)
