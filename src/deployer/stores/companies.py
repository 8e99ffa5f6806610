"""Companies in Redis: made, renamed, removed; a grid belongs to exactly one of them."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from deployer.errors import ChangedError, ConflictError, DeployerError, NotFoundError
from deployer.model import limits
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis

SCAN: Final = 1000


class Company(Struct, frozen=True, kw_only=True):
    """A company as it stands. `created`: epoch ms; `agents`, `users`: how many."""

    id: str
    name: str
    created: int
    version: str
    grids: Sequence[int]
    agents: int
    users: int


def new_version() -> str:
    """What tells one state of a record from another."""
    return secrets.token_hex(8)


class Companies:
    """Finds, makes, changes and removes companies."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def company(self, company: str) -> Company:
        """One company; NotFoundError without it."""
        found = (await self.companies([company]))[0]
        if found is None:
            raise NotFoundError("this company does not exist")
        return found

    async def exists(self, company: str) -> bool:
        """Whether there is such a company."""
        return bool(await self._redis.call("SISMEMBER", keys.COMPANIES, company))

    async def named(self, name: str) -> str | None:
        """The id of the company of this name."""
        raw = await self._redis.call("HGET", keys.COMPANY_NAMES, name)
        return None if raw is None else raw.decode()

    async def ids(self, after: str | None = None, count: int = limits.COMPANIES) -> list[str]:
        """Ids in their order, those after `after` when it is given."""
        every = sorted(raw.decode() for raw in await self._redis.call("SMEMBERS", keys.COMPANIES))
        return [one for one in every if after is None or one > after][:count]

    async def companies(self, ids: Sequence[str]) -> list[Company | None]:
        """Each of these, None for one that is not there."""
        asked = [command for one in ids for command in _questions(one)]
        told = await self._redis.reads(asked)
        return [self._company(one, told[4 * place : 4 * place + 4]) for place, one in enumerate(ids)]

    def _company(self, id_: str, told: Sequence[Any]) -> Company | None:
        (name, created, version), grids, agents, users = told
        if name is None:
            return None
        try:
            return Company(
                id=id_,
                name=name.decode(),
                created=int(created or 0),
                version=(version or b"").decode(),
                grids=sorted(map(int, grids)),
                agents=agents or 0,
                users=users or 0,
            )
        except ValueError:
            self._redis.damage.found(keys.company(id_))
            return None

    async def make(self, id_: str, name: str, now_ms: int) -> None:
        """Make a company, with no grid yet; ConflictError when the name is taken or there are too many."""
        named = [keys.company(id_), keys.COMPANY_NAMES, keys.COMPANIES]
        given = [id_, name, now_ms, new_version(), limits.COMPANIES]
        _require(await self._redis.run(scripts.COMPANY, named, given))

    async def rename(self, company: Company, name: str) -> None:
        """Give it another name; ChangedError when it is not any more as it was read."""
        named = [keys.company(company.id), keys.COMPANY_NAMES]
        given = [company.id, name, company.version, new_version()]
        _require(await self._redis.run(scripts.RENAME_COMPANY, named, given))

    async def remove(self, company: Company) -> None:
        """Remove an empty one with users, tokens and grids; ConflictError when it is not empty."""
        named = [keys.company(company.id), keys.prefix(company.id), keys.INSTALLATION]
        named += [keys.COMPANY_NAMES, keys.COMPANIES, keys.COMPANIES_GONE]
        _require(await self._redis.run(scripts.DROP_COMPANY, named, [company.id, company.version]))

    async def add_grid(self, company: str, gid: int | None) -> int:
        """One more grid, of this number or of the next that is free; ConflictError when it is another's or too many."""
        given = [company, "" if gid is None else gid, limits.GRIDS_PER_COMPANY]
        answer = await self._redis.run(scripts.GRID, [keys.company(company), keys.GRIDS], given)
        if answer[0] == b"TAKEN":
            raise ConflictError("this grid exists already")
        _require(answer[0])
        return int(answer[1])

    async def sweep(self) -> None:
        """Remove what removed companies have left: finished jobs, logs, scripts, numbers."""
        for raw in await self._redis.call("SMEMBERS", keys.COMPANIES_GONE):
            for pattern in keys.patterns(raw.decode()):
                await self._unlink(pattern)
            await self._redis.call("SREM", keys.COMPANIES_GONE, raw)

    async def _unlink(self, pattern: str) -> None:
        cursor = b"0"
        while True:
            cursor, found = await self._redis.call("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN)
            if found:
                await self._redis.call("UNLINK", *found)
            if cursor == b"0":
                return


_REFUSALS: Final[dict[bytes, tuple[type[DeployerError], str]]] = {
    b"GONE": (NotFoundError, "this company does not exist"),
    b"CHANGED": (ChangedError, "this company has changed since it was read: read it again"),
    b"TAKEN": (ConflictError, "another company has this name"),
    b"FULL": (ConflictError, "there are too many already"),
    b"DEFAULT": (ConflictError, "the installation's own company stays"),
    b"BUSY": (ConflictError, "this company has agents or open jobs"),
}


def _require(answer: bytes) -> None:
    if answer != b"OK":
        kind, sentence = _REFUSALS[answer]
        raise kind(sentence)


def _questions(company: str) -> list[tuple[object, ...]]:
    front = keys.prefix(company)
    return [
        ("HMGET", keys.company(company), "name", "created", "version"),
        ("SMEMBERS", keys.grids(company)),
        ("ZCARD", f"{front}agents"),
        ("ZCARD", f"{front}users"),
    ]
