"""What an installation of an older version lacks is added when a master starts: users of tokens, company names."""

import contextlib
import secrets
from typing import Final

from deployer.errors import ConflictError
from deployer.model.access import GRANTS, Role
from deployer.stores import keys
from deployer.stores.companies import Companies, new_version
from deployer.stores.redis import Redis
from deployer.stores.tokens import USER, Tokens
from deployer.stores.users import User, Users

SCHEMA: Final = b"2"


async def adopt(redis: Redis, now_ms: int) -> None:
    """Bring an installation up to date; nothing happens to one that is."""
    if await redis.call("HGET", keys.INSTALLATION, "schema") == SCHEMA:
        return
    for company in await Companies(redis).ids():
        name = await redis.call("HGET", keys.company(company), "name") or company.encode()
        await redis.call("HSETNX", keys.COMPANY_NAMES, name, company)
        await redis.call("HSETNX", keys.company(company), "version", new_version())
        await _adopt_users(redis, company, now_ms)
    await redis.call("HSET", keys.INSTALLATION, "schema", SCHEMA)


async def _adopt_users(redis: Redis, company: str, now_ms: int) -> None:
    """Whoever has tokens becomes a user, with the highest role among them."""
    roles: dict[str, Role] = {}
    for _, its in await Tokens(redis).listed(company, USER):
        name, role = its.get("user", ""), _ROLES.get(its.get("role", ""))
        if name and role is not None and GRANTS[roles.setdefault(name, role)] < GRANTS[role]:
            roles[name] = role
    users = Users(redis)
    for name, role in roles.items():
        with contextlib.suppress(ConflictError):  # another master was faster
            await users.make(User(company=company, name=name, id=secrets.token_hex(16), role=role, created=now_ms))


_ROLES: Final = {role.value: role for role in Role}
