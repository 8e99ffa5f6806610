"""What hosts are: the facts of now, and how they became so, at most a hundred versions of each host.

One host has one agent. Differences are computed here and not in the script, which sees opaque bytes: what was read is
put back only when nobody else has put another version in meanwhile.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from deployer.errors import NotFoundError, StaleSessionError, UnavailableError
from deployer.model.facts import Summary, Version, next_version, summary
from deployer.model.presence import TOUCH_MS
from deployer.model.retention import VERSIONS_PER_HOST
from deployer.protocol.facts import HostFacts, ordered
from deployer.protocol.ids import AgentId
from deployer.stores import keys, scripts
from deployer.stores.agents import Session
from deployer.stores.redis import Redis

TRIES: Final = 10


class HostRecord(Struct, frozen=True):
    """A host that has told its facts, in short; `versions`: how many there were."""

    summary: Summary
    versions: int
    sha256: str


class Kept(Struct, frozen=True):
    """What became of facts: the number of the version that they are, the version if they made one."""

    number: int
    made: Version | None


class Hosts:
    """Keeps and finds facts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def keep(self, session: Session, facts: HostFacts, now_ms: int) -> Kept:
        """Keep what an agent says of its host; the same again makes no version."""
        facts = ordered(facts)
        body = _encode(facts)
        sha = hashlib.sha256(body).hexdigest()
        for _ in range(TRIES):
            number, before = await self._known(session.agent)
            version = next_version(before, facts, number + 1, now_ms)
            told = b"" if version is None else _encode(version)
            answer = await self._put(session, number, [sha, body, _encode(summary(facts)), told])
            if answer is not None:
                return Kept(answer[0], version if answer[1] else None)
        raise UnavailableError("this host's facts change too fast; try again in a moment")

    async def facts(self, agent: AgentId) -> HostFacts:
        """All of a host; NotFoundError when it has told none yet."""
        found = self._facts(agent, await self._redis.read("HGET", keys.host(agent), "facts"))
        if found is None:
            raise NotFoundError("this host has not told its facts yet")
        return found

    async def records(self, agents: Sequence[AgentId]) -> list[HostRecord | None]:
        """Each of these hosts in short, None for one that has told nothing yet."""
        found = await self._redis.reads([("HMGET", keys.host(one), "summary", "n", "sha") for one in agents])
        return [self._record(one, fields) for one, fields in zip(agents, found, strict=True)]

    async def versions(self, agent: AgentId, below: int | None, count: int) -> list[Version]:
        """The newest `count`, or those with numbers below `below`."""
        most = "+inf" if below is None else f"({below}"
        asked = ("ZREVRANGEBYSCORE", keys.host_versions(agent), most, "-inf", "LIMIT", 0, count)
        read = self._redis.damage.read
        found = [read(keys.host_versions(agent), _version, raw) for raw in await self._redis.read(*asked)]
        return [one for one in found if one is not None]

    async def _known(self, agent: AgentId) -> tuple[int, HostFacts | None]:
        n, raw = await self._redis.read("HMGET", keys.host(agent), "n", "facts")
        return self._redis.damage.read(keys.host(agent), int, n) or 0, self._facts(agent, raw)

    def _facts(self, agent: AgentId, raw: bytes | None) -> HostFacts | None:
        return self._redis.damage.read(keys.host(agent), _facts, raw)

    def _record(self, agent: AgentId, fields: Sequence[bytes | None]) -> HostRecord | None:
        short, n, sha = fields
        read, key = self._redis.damage.read, keys.host(agent)
        told, number = read(key, _summary, short), read(key, int, n)
        return None if told is None or number is None else HostRecord(told, number, read(key, bytes.decode, sha) or "")

    async def _put(self, session: Session, number: int, news: Sequence[object]) -> tuple[int, bool] | None:
        """The number of what is kept now, and whether it is new; None when another has changed it since it was read."""
        agent = session.agent
        named = [keys.agent(agent), keys.prefix(session.company), keys.host(agent), keys.host_versions(agent)]
        given = [str(agent), session.epoch, TOUCH_MS, VERSIONS_PER_HOST, number, *news]
        answer = await self._redis.run(scripts.FACTS, named, given)
        if answer[0] == b"STALE":
            raise StaleSessionError("a newer session of this agent has taken over")
        return None if answer[0] == b"CHANGED" else (int(answer[1]), answer[2] == 1)


_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(HostFacts).decode
_summary = msgspec.json.Decoder(Summary).decode
_version = msgspec.json.Decoder(Version).decode
