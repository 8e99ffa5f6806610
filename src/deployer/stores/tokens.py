"""Bearer tokens: `dpl_<id>_<secret>` for users, `dpj_<id>_<secret>` for joining, kept as SHA-256 only."""

import hashlib
import hmac
import re
import secrets
from typing import Final

from msgspec import Struct

from deployer.model.access import Caller, Role
from deployer.stores import keys
from deployer.stores.redis import Redis

USER: Final = "dpl"
JOIN: Final = "dpj"
_FORM = re.compile(r"(dpl|dpj)_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
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
        """Read a token's text; None when it cannot be one."""
        match = _FORM.fullmatch(text)
        return None if match is None else cls(*match.groups())


class Tokens:
    """Looks tokens up. One path for known and unknown ids, digests of one length compared once."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def caller(self, token: Token) -> Caller | None:
        """Whose token this is; None when it is nobody's."""
        key = keys.token(token.kid)
        fields = await self._redis.read("HMGET", key, "sha", "company", "user", "role")
        if not _matches(fields[0], token) or token.kind != USER or None in fields:
            return None
        try:
            company, user, role = (raw.decode() for raw in fields[1:])
            return Caller(user, company, Role(role), token.kid)
        except ValueError:
            self._redis.damage.found(key)
            return None

    async def may_join(self, token: Token) -> bool:
        """Tell whether this is a join token; its uses and expiry are the script's business."""
        sha = await self._redis.read("HGET", keys.join_token(token.kid), "sha")
        return _matches(sha, token) and token.kind == JOIN

    async def add_user_token(self, token: Token, company: str, user: str, role: Role) -> None:
        """Keep a new token's hash."""
        fields = ("sha", token.sha, "company", company, "user", user, "role", role.value)
        await self._redis.call("HSET", keys.token(token.kid), *fields)


def _matches(stored: bytes | None, token: Token) -> bool:
    try:
        known = _NOBODY if stored is None else bytes.fromhex(stored.decode())
    except ValueError:
        known = _NOBODY
    return hmac.compare_digest(known, bytes.fromhex(token.sha))
