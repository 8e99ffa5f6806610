"""The first start: company, grid, admin and join token, made by one script, once per Redis (DESIGN 3)."""

import secrets
from typing import Final

from msgspec import Struct

from deployer.errors import StartError
from deployer.stores import keys, scripts
from deployer.stores.companies import new_version
from deployer.stores.redis import Redis
from deployer.stores.tokens import Token

DEFAULT_COMPANY_NAME: Final = "default"
FIRST_GRID: Final = 1
JOIN_TOKEN_S: Final = 86400


class Installation(Struct, frozen=True):
    """What this Redis holds."""

    company: str
    public_key: str


class Seed(Struct, frozen=True):
    """What a first start would write."""

    company: str
    public_key: str
    admin: Token
    admin_user: str
    join: Token


class Installations:
    """Finds the installation in Redis or makes it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def find(self) -> Installation | None:
        """The installation; None before the first start."""
        fields = await self._redis.call("HMGET", keys.INSTALLATION, "company", "public_key")
        return None if fields[0] is None else Installation(fields[0].decode(), fields[1].decode())

    async def make(self, seed: Seed, now_ms: int) -> bool:
        """Write everything of a first start; False when another master was faster."""
        made = await self._redis.run(
            scripts.INSTALL,
            [
                keys.INSTALLATION,
                keys.company(seed.company),
                keys.grid(FIRST_GRID),
                keys.token(seed.admin.kid),
                keys.join_token(seed.join.kid),
            ],
            [
                now_ms,
                seed.company,
                DEFAULT_COMPANY_NAME,
                seed.public_key,
                seed.admin.sha,
                seed.admin_user,
                seed.join.sha,
                now_ms + JOIN_TOKEN_S * 1000,
                new_version(),
                secrets.token_hex(16),
            ],
        )
        return bool(made == b"OK")

    async def companies(self) -> list[str]:
        """Every company's id."""
        return sorted(raw.decode() for raw in await self._redis.call("SMEMBERS", keys.COMPANIES))

    async def require_key(self, public_key: str) -> Installation | None:
        """Find the installation and refuse a master with another key."""
        found = await self.find()
        if found is not None and found.public_key != public_key:
            raise StartError("this Redis belongs to an installation with another masters' key: give its --key-file")
        return found
