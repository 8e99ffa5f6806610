"""Bearer tokens: `dpl_<id>_<secret>` for users, `dpj_<id>_<secret>` for joining, kept as SHA-256 only."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from deployer.errors import ConflictError, NotFoundError
from deployer.model import limits
from deployer.model.access import Caller, Role, lesser
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis
from deployer.stores.users import User, Users

USER: Final = "dpl"
JOIN: Final = "dpj"
_FORM = re.compile(r"(dpl|dpj)_([0-9a-f]{16})_([0-9a-f]{64})(_[0-9a-f]{64})?", re.ASCII)
_NOBODY = hashlib.sha256(b"").digest()


class Token(Struct, frozen=True):
    """A token in its parts. `text` is shown once and never stored."""

    kind: str
    kid: str
    secret: str

    @property
    def text(self) -> str:
        """What the user keeps."""
        return f"{self.kind}_{self.kid}_{self.secret}"

    @property
    def sha(self) -> str:
        """What we keep: a fast hash is right for 256 random bits."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    @classmethod
    def new(cls, kind: str) -> "Token":
        """A fresh one."""
        return cls(kind, secrets.token_hex(8), secrets.token_hex(32))

    @classmethod
    def parse(cls, text: str) -> "Token | None":
        """Read a token's text; None when it cannot be one. The CA's fingerprint behind a join token is not its part."""
        match = _FORM.fullmatch(text)
        if match is None or (match[1] != JOIN and match[4]):
            return None
        return cls(match[1], match[2], match[3])

    def pinned(self, pin: str) -> str:
        """The text of a join token with the CA's fingerprint (hex, or nothing), by which an agent knows its master."""
        return f"{self.text}_{pin}" if pin else self.text


class Tokens:
    """Looks tokens up. One path for known and unknown ids, digests of one length compared once."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._users = Users(redis)

    async def caller(self, token: Token) -> Caller | None:
        """Whose token this is, with the lesser of its role and its user's; None when it is nobody's."""
        key = keys.token(token.kid)
        fields = await self._redis.read("HMGET", key, "sha", "company", "user", "role")
        if not _matches(fields[0], token) or token.kind != USER or None in fields:
            return None
        try:
            company, user, role = (raw.decode() for raw in fields[1:])
            its_role = Role(role)
        except ValueError:
            self._redis.damage.found(key)
            return None
        known = await self._users.find(company, user)
        if known is None or known.disabled:
            return None
        return Caller(user, company, lesser(its_role, known.role), token.kid, known.agents)

    async def user(self, company: str, kid: str) -> str:
        """Whose token a company has under this id; NotFoundError for none."""
        found = await self._redis.read("HMGET", keys.token(kid), "company", "user")
        if None in found or found[0] != company.encode():
            raise NotFoundError("this token does not exist")
        return str(found[1].decode("utf-8", "replace"))

    async def may_join(self, token: Token) -> bool:
        """Tell whether this is a join token; its uses and expiry are the script's business."""
        sha = await self._redis.read("HGET", keys.join_token(token.kid), "sha")
        return _matches(sha, token) and token.kind == JOIN

    async def make(self, token: Token, company: str, fields: Mapping[str, object], expires: int | None) -> None:
        """Keep a new token's hash with what it is for (epoch ms; None: for ever).

        ConflictError for too many, NotFoundError when it is for a user that the company has not.
        """
        named = [_key(token.kind, token.kid), keys.tokens(company, token.kind)]
        if token.kind == USER:
            named.append(keys.user(company, str(fields["user"])))
        known = {"sha": token.sha, "company": company, **fields} | ({"expires": expires} if expires else {})
        flat = [part for pair in known.items() for part in pair]
        fixed = [token.kid, fields["created"], expires or "", limits.TOKENS_PER_COMPANY]
        answer = await self._redis.run(scripts.TOKEN, named, [*fixed, *flat])
        if answer == b"NO_USER":
            raise NotFoundError("this user does not exist")
        if answer == b"FULL":
            raise ConflictError(f"there are {limits.TOKENS_PER_COMPANY} tokens already: revoke some first")

    async def listed(self, company: str, kind: str) -> list[tuple[str, Mapping[str, str]]]:
        """All of a company, the oldest first: public id and fields without the hash. What has expired is gone."""
        index = keys.tokens(company, kind)
        kids = [raw.decode() for raw in await self._redis.call("ZRANGE", index, 0, -1)]
        found = await self._redis.calls([("HGETALL", _key(kind, kid)) for kid in kids])
        fields = {kid: _fields(flat) for kid, flat in zip(kids, found, strict=True)}
        gone = [kid for kid, its in fields.items() if not its]
        if gone:
            await self._redis.call("ZREM", index, *gone)
        return [(kid, its) for kid, its in fields.items() if its]

    async def revoke(self, company: str, kind: str, kid: str) -> None:
        """It opens nothing any more; NotFoundError when the company has none of this id."""
        if not await self._redis.call("ZREM", keys.tokens(company, kind), kid):
            raise NotFoundError("this token does not exist")
        await self._redis.call("DEL", _key(kind, kid))

    async def used(self, token: Token, now_ms: int) -> None:
        """Note that a token was used, if it still is there."""
        await self._redis.run(scripts.USED, [keys.token(token.kid)], [now_ms])

    async def add_user_token(self, token: Token, company: str, user: str, role: Role) -> None:
        """Keep a new token that nobody asked for by the API; its user is made, or given this role."""
        await self._users.ensure(User(company=company, name=user, id=secrets.token_hex(16), role=role))
        await self.make(token, company, {"user": user, "role": role.value, "created": 0}, None)


def _key(kind: str, kid: str) -> str:
    return keys.join_token(kid) if kind == JOIN else keys.token(kid)


def _fields(flat: list[bytes]) -> dict[str, str]:
    known = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    known.pop("sha", None)
    return known


def _matches(stored: bytes | None, token: Token) -> bool:
    try:
        known = _NOBODY if stored is None else bytes.fromhex(stored.decode())
    except ValueError:
        known = _NOBODY
    return hmac.compare_digest(known, bytes.fromhex(token.sha))
