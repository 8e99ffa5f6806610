"""Sessions of browsers in Redis, by the SHA-256 of their secret: they end when idle, after a time, with their user."""

import hashlib
import secrets
from typing import Final

from deployer.errors import ChangedError
from deployer.model import limits
from deployer.model.access import Caller
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis
from deployer.stores.users import User, Users

SECRET_BYTES: Final = 32


def digest_of(secret: str) -> str:
    """What a session is kept under: a fast hash is right for 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Logins:
    """Opens, finds and closes sessions."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._users = Users(redis)

    async def open(self, user: User, now_ms: int) -> str:
        """The secret of a new session; the user's oldest goes when there are too many. ChangedError: log in again."""
        secret = secrets.token_hex(SECRET_BYTES)
        digest = digest_of(secret)
        named = [keys.login(digest), keys.logins(user.company, user.name), keys.user(user.company, user.name)]
        given = [digest, user.company, user.name, user.seal, now_ms, now_ms + limits.LOGIN_MS]
        answer = await self._redis.run(
            scripts.LOGIN, named, [*given, limits.LOGIN_IDLE_MS, limits.LOGIN_MS, limits.LOGINS_PER_USER]
        )
        if answer != b"OK":
            raise ChangedError("this user has just been changed: log in again")
        return secret

    async def caller(self, digest: str, now_ms: int) -> Caller | None:
        """Whose session this is; None when there is none, it has ended, or its user may not get in any more."""
        fields = await self._redis.read("HMGET", keys.login(digest), "company", "user", "seal", "ends")
        if None in fields:
            return None
        try:
            company, name, seal, ends = (raw.decode() for raw in fields)
            if int(ends) <= now_ms:
                return None
        except ValueError:
            self._redis.damage.found(keys.login(digest))
            return None
        user = await self._users.find(company, name)
        if user is None or user.disabled or user.seal != seal:
            return None
        return Caller(name, company, user.role, "", user.agents, digest)

    async def ends(self, digest: str) -> int:
        """When a session ends at the latest, in epoch ms."""
        return int(await self._redis.read("HGET", keys.login(digest), "ends") or 0)

    async def used(self, digest: str) -> None:
        """It is not idle."""
        await self._redis.call("PEXPIRE", keys.login(digest), limits.LOGIN_IDLE_MS)

    async def close(self, caller: Caller) -> None:
        """End a session."""
        index = keys.logins(caller.company, caller.user)
        await self._redis.calls([("DEL", keys.login(caller.session)), ("ZREM", index, caller.session)])
