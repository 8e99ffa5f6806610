"""Agents without a join token, until somebody lets them in: bounded, and forgotten when they ask no more."""

import hashlib
import re
from typing import Final

from msgspec import Struct

from deployer.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    RevokedError,
    UnauthorizedError,
    WaitingError,
)
from deployer.model import limits
from deployer.protocol.ids import AgentId
from deployer.protocol.wire import JoinRequest
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


class Waiting(Struct, frozen=True, kw_only=True):
    """An agent that waits. `first`, `last`: when it asked, epoch ms; `rejected`: it is told so, and may not wait."""

    fingerprint: str
    hostname: str
    address: str
    gid: int | None
    nid: int | None
    system: str
    version: str
    first: int
    last: int
    rejected: bool


class WaitingRoom:
    """Takes requests, where `is_open`, and decides about them. A key that is known needs no request."""

    def __init__(self, redis: Redis, default_company: str, *, is_open: bool) -> None:
        self._redis = redis
        self._default_company = default_company
        self._most = limits.WAITING_PER_COMPANY if is_open else 0

    async def ask(self, request: JoinRequest, address: str, now_ms: int) -> tuple[AgentId, str]:
        """The agent of a key, and its company; WaitingError when nobody has decided yet."""
        company = await self._company(request.gid)
        fingerprint = fingerprint_of(request.public_key)
        fields = {
            "hostname": request.hostname,
            "address": address,
            "gid": "" if request.gid is None else request.gid,
            "nid": "" if request.nid is None else request.nid,
            "system": request.system,
            "version": request.version,
        }
        named = [keys.waiting_agent(company, fingerprint), keys.waiting(company), keys.AGENT_KEYS]
        wanted = [now_ms, request.public_key, fields["gid"], fields["nid"], fingerprint, self._most, limits.WAITING_MS]
        flat = [part for pair in fields.items() for part in pair]
        answer = await self._redis.run(scripts.WAIT, named, [*wanted, *flat])
        word = answer[0].decode()
        if word == "OK":
            return AgentId(int(answer[1]), int(answer[2])), answer[3].decode()
        raise _refusal(word, fingerprint)

    async def listed(self, company: str) -> list[Waiting]:
        """Who waits, and whom somebody has rejected lately; the one that asked last is the last."""
        found = [raw.decode() for raw in await self._redis.call("ZRANGE", keys.waiting(company), 0, -1)]
        flats = await self._redis.reads([("HGETALL", keys.waiting_agent(company, one)) for one in found])
        made = [self._waiting(company, one, flat) for one, flat in zip(found, flats, strict=True) if flat]
        return [one for one in made if one is not None]

    async def admit(self, company: str, fingerprint: str, gid: int | None, nid: int | None, now_ms: int) -> AgentId:
        """Make it an agent, by the number it asked for unless another is given."""
        _require_fingerprint(fingerprint)
        wanted = [now_ms, fingerprint, company, "" if gid is None else gid, "" if nid is None else nid]
        named = [keys.waiting_agent(company, fingerprint), keys.waiting(company)]
        answer = await self._redis.run(scripts.ADMIT, named, wanted)
        word = answer[0].decode()
        if word == "UNKNOWN":
            raise NotFoundError("no agent with this fingerprint waits")
        if word == "NO_GRID":
            raise InvalidError("/gid", "the company has no such grid, or the agent named none")
        if word == "TAKEN":
            raise ConflictError("this number or this key is already another agent's")
        return AgentId(int(answer[1]), int(answer[2]))

    async def reject(self, company: str, fingerprint: str) -> None:
        """Tell it no for as long as a request is kept; NotFoundError when none of this fingerprint waits."""
        _require_fingerprint(fingerprint)
        key = keys.waiting_agent(company, fingerprint)
        if not await self._redis.call("EXISTS", key):
            raise NotFoundError("no agent with this fingerprint waits")
        await self._redis.call("HSET", key, "rejected", "1")
        await self._redis.call("PEXPIRE", key, limits.WAITING_MS)

    async def _company(self, gid: int | None) -> str:
        raw = None if gid is None else await self._redis.read("HGET", keys.grid(gid), "company")
        return self._default_company if raw is None else str(raw.decode("utf-8", "replace"))

    def _waiting(self, company: str, fingerprint: str, flat: list[bytes]) -> Waiting | None:
        try:
            its = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
            return Waiting(
                fingerprint=fingerprint,
                hostname=its["hostname"],
                address=its["address"],
                gid=int(its["gid"]) if its["gid"] else None,
                nid=int(its["nid"]) if its["nid"] else None,
                system=its["system"],
                version=its["version"],
                first=int(its["first"]),
                last=int(its["last"]),
                rejected="rejected" in its,
            )
        except (KeyError, ValueError):
            self._redis.damage.found(keys.waiting_agent(company, fingerprint))
            return None


def fingerprint_of(public_key: str) -> str:
    """By what people know an agent's key: the SHA-256 of its text in base64, in hex."""
    return hashlib.sha256(public_key.encode()).hexdigest()


def _require_fingerprint(text: str) -> None:
    if not _FINGERPRINT.fullmatch(text):
        raise NotFoundError("no agent with this fingerprint waits")


def _refusal(word: str, fingerprint: str) -> Exception:
    if word == "WAITING":
        return WaitingError(f"an administrator has to accept this agent, by its fingerprint sha256:{fingerprint}")
    if word == "REJECTED":
        return ForbiddenError("an administrator has rejected this agent")
    if word == "REVOKED":
        return RevokedError("this agent was revoked: it joins again with a new key only")
    if word == "FULL":
        return ConflictError("too many agents wait to be accepted already")
    if word == "TAKEN":
        return ConflictError("this number or this key is already another agent's")
    return UnauthorizedError("a join token is needed")
