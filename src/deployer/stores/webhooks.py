"""Webhooks in Redis: what is wanted of each, how far it has come, what came of the last tries."""

import os
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from deployer.errors import ChangedError, ConflictError, DeployerError, NotFoundError
from deployer.model import limits
from deployer.stores import keys, scripts
from deployer.stores.companies import new_version
from deployer.stores.redis import Redis

LEASE_MS: Final = 30_000
NONCE_BYTES: Final = 12


class Wanted(Struct, frozen=True, kw_only=True):
    """What somebody wants to be told. `created`: epoch ms."""

    id: str
    name: str
    url: str
    events: Sequence[str]
    is_paused: bool
    user: str
    created: int


class Webhook(Struct, frozen=True, kw_only=True):
    """One as it stands. `cursor`: the last event that was told; `failures` in a row, `since` then (epoch ms)."""

    wanted: Wanted
    version: str
    secret: str
    cursor: str
    failures: int = 0
    since: int | None = None
    delivered: int = 0
    lost: int = 0
    is_gone: bool = False


class Delivery(Struct, frozen=True, kw_only=True):
    """A try to tell: when (epoch ms), how long it took (ms), how many events; its status, or what was wrong."""

    id: str
    at: int
    time: int
    events: int
    status: int | None
    error: str | None


class Taken(Struct, frozen=True):
    """A webhook that this master looks at, until the time that Redis calls `score`."""

    company: str
    id: str
    member: bytes
    score: bytes


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a look: where it is now, and in how many ms it is looked at again."""

    cursor: str
    again_ms: int
    told: int = 0
    lost: int = 0
    failures: int = 0
    since: int | None = None
    is_gone: bool = False
    delivery: Delivery | None = None


class Webhooks:
    """Finds, makes, changes and removes them. `secret`: 32 bytes by which theirs are encrypted."""

    def __init__(self, redis: Redis, secret: bytes) -> None:
        self._redis = redis
        self._cipher = AESGCM(secret)

    async def webhook(self, company: str, id_: str) -> Webhook:
        """One; NotFoundError when the company has none of this id."""
        (found,) = await self._webhooks(company, [id_])
        if found is None:
            raise NotFoundError("this webhook does not exist")
        return found

    async def listed(self, company: str) -> list[Webhook]:
        """All of a company, by their making."""
        ids = await self._redis.read("ZRANGE", f"{keys.prefix(company)}webhooks", 0, limits.WEBHOOKS_PER_COMPANY - 1)
        found = await self._webhooks(company, [raw.decode("utf-8", "replace") for raw in ids])
        return [one for one in found if one is not None]

    async def put(self, company: str, wanted: Wanted, secret: str, begin: str, version: str = "") -> None:
        """Keep a new one that begins at a place, or another in the place of `version`; an empty secret stays as it is.

        ConflictError when there are too many, ChangedError, NotFoundError.
        """
        sealed = self._sealed(company, wanted.id, secret) if secret else b""
        paused = int(wanted.is_paused)
        given = [wanted.id, version, new_version(), _encode(wanted), sealed, paused, begin, limits.WEBHOOKS_PER_COMPANY]
        _require(await self._redis.run(scripts.WEBHOOK, [keys.prefix(company), keys.WEBHOOKS], given))

    async def drop(self, company: str, known: Webhook) -> None:
        """Remove one; ChangedError when it is not any more as it was read."""
        given = [known.wanted.id, known.version, "", "", "", 0, "", 0]
        _require(await self._redis.run(scripts.WEBHOOK, [keys.prefix(company), keys.WEBHOOKS], given))

    async def deliveries(self, company: str, id_: str) -> list[Delivery]:
        """The last tries, newest first."""
        key = f"{keys.webhook(company, id_)}:deliveries"
        raws = await self._redis.read("LRANGE", key, 0, -1)
        found = [self._redis.damage.read(key, _delivery, raw) for raw in raws]
        return [one for one in found if one is not None]

    async def take(self) -> Taken | None:
        """One that is due, which no other master looks at meanwhile."""
        answer = await self._redis.run(scripts.TAKE_DUE, [keys.WEBHOOKS], [LEASE_MS])
        if answer is None:
            return None
        prefix, _, id_ = answer[0].decode("utf-8", "replace").partition("|")
        return Taken(keys.company_of(prefix), id_, *answer)

    async def look(self, taken: Taken) -> Webhook | None:
        """The one that was taken; None when there is nothing to be told to it."""
        (found,) = await self._webhooks(taken.company, [taken.id])
        return None if found is None or found.is_gone or found.wanted.is_paused else found

    async def leave(self, taken: Taken, outcome: Outcome | None) -> None:
        """It was looked at; None: there is no more to be looked for."""
        if outcome is None:
            await self._redis.run(scripts.LEAVE_DUE, [keys.WEBHOOKS], [taken.member, taken.score, ""])
            return
        its = outcome
        given: list[object] = [taken.member, taken.score, its.again_ms, its.cursor, its.told, its.lost, its.failures]
        given += ["" if its.since is None else its.since, int(its.is_gone)]
        given.append("" if its.delivery is None else _encode(its.delivery))
        await self._redis.run(scripts.DELIVERED, [keys.WEBHOOKS, keys.webhook(taken.company, taken.id)], given)

    async def _webhooks(self, company: str, ids: Sequence[str]) -> list[Webhook | None]:
        replies = await self._redis.reads([("HGETALL", keys.webhook(company, one)) for one in ids])
        return [self._webhook(company, one, reply or []) for one, reply in zip(ids, replies, strict=True)]

    def _webhook(self, company: str, id_: str, flat: Sequence[bytes]) -> Webhook | None:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if not fields:
            return None
        try:
            wanted = _wanted(fields[b"doc"])
            return Webhook(
                wanted=wanted,
                version=fields[b"version"].decode(),
                secret=self._opened(company, id_, fields[b"secret"]),
                cursor=fields[b"cursor"].decode(),
                failures=int(fields.get(b"failures", 0)),
                since=int(fields[b"since"]) if b"since" in fields else None,
                delivered=int(fields.get(b"delivered", 0)),
                lost=int(fields.get(b"lost", 0)),
                is_gone=b"gone" in fields,
            )
        except (ValueError, KeyError, RecursionError, InvalidTag):
            self._redis.damage.found(keys.webhook(company, id_))
            return None

    def _sealed(self, company: str, id_: str, secret: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), f"{company}/{id_}".encode())

    def _opened(self, company: str, id_: str, sealed: bytes) -> str:
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        return self._cipher.decrypt(nonce, rest, f"{company}/{id_}".encode()).decode()


_encode = msgspec.json.Encoder().encode
_wanted = msgspec.json.Decoder(Wanted).decode
_delivery = msgspec.json.Decoder(Delivery).decode
_REFUSALS: Final[dict[bytes, DeployerError]] = {
    b"GONE": NotFoundError("this webhook does not exist"),
    b"CHANGED": ChangedError("this webhook has changed since it was read: read it again"),
    b"FULL": ConflictError(f"a company has at most {limits.WEBHOOKS_PER_COMPANY} webhooks"),
}


def _require(answer: bytes) -> None:
    if answer != b"OK":
        raise _REFUSALS[answer]
