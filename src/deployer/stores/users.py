"""Users in Redis: whoever has tokens or logs in, with a role in one company and the agents that the user may use."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from deployer.errors import ChangedError, ConflictError, DeployerError, NotFoundError
from deployer.model import limits
from deployer.model.access import AgentSet, Permission, Role
from deployer.protocol.ids import AgentId
from deployer.stores import keys, scripts
from deployer.stores.companies import new_version
from deployer.stores.redis import Redis


class User(Struct, frozen=True, kw_only=True):
    """A user as it stands. `created`: epoch ms; `agents` None: all of the company; `seal`: that of its sessions."""

    company: str
    name: str
    id: str
    role: Role
    email: str | None = None
    agents: AgentSet = None
    disabled: bool = False
    created: int = 0
    version: str = ""
    has_password: bool = False
    seal: str = ""


class Users:
    """Finds, makes, changes and removes users."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def user(self, company: str, name: str) -> User:
        """One user; NotFoundError when the company has none of this name."""
        found = await self.find(company, name)
        if found is None:
            raise NotFoundError("this user does not exist")
        return found

    async def find(self, company: str, name: str) -> User | None:
        """One user; None when the company has none of this name."""
        return (await self._users(company, [name]))[0]

    async def users(self, company: str, after: str | None, count: int) -> list[User]:
        """Users by name, those after `after` when it is given."""
        start = "-" if after is None else f"({after}"
        raw = await self._redis.read("ZRANGEBYLEX", keys.users(company), start, "+", "LIMIT", 0, count)
        found = await self._users(company, [one.decode("utf-8", "replace") for one in raw])
        return [one for one in found if one is not None]

    async def _users(self, company: str, names: Sequence[str]) -> list[User | None]:
        replies = await self._redis.reads([("HMGET", keys.user(company, one), *_FIELDS) for one in names])
        return [self._user(company, one, reply) for one, reply in zip(names, replies, strict=True)]

    def _user(self, company: str, name: str, fields: Sequence[bytes | None]) -> User | None:
        try:
            return read_user(company, name, fields)
        except ValueError:  # not UTF-8, no role, no agents
            self._redis.damage.found(keys.user(company, name))
            return None

    async def with_password(self, company: str, name: str) -> tuple[User | None, str | None]:
        """A user and what is kept of its password; as much is read for one that is not there."""
        fields = await self._redis.read("HMGET", keys.user(company, name), *_FIELDS)
        user, kept = self._user(company, name, fields), fields[-1]
        return (None, None) if user is None else (user, None if kept is None else kept.decode("ascii", "replace"))

    async def set_password(self, known: User, kept: str, seal: str | None) -> None:
        """Keep another password, as its hash; with another seal (None: a new one) all sessions end."""
        given = [known.id, kept, seal or new_version(), new_version()]
        _require(await self._redis.run(scripts.PASSWORD, [keys.user(known.company, known.name)], given))

    async def make(self, user: User) -> None:
        """Keep a new user; ConflictError when the name is taken or there are too many, NotFoundError: no company."""
        _require(await self._put(user, "", {"id": user.id, "created": user.created, "seal": new_version()}))

    async def change(self, known: User, wanted: User) -> None:
        """Replace what can be changed; ChangedError when it is not any more as it was read. Disabling ends sessions."""
        _require(await self._put(wanted, known.version, {"seal": new_version()} if wanted.disabled else {}))

    async def ensure(self, user: User) -> None:
        """Make this user, or give the one of this name its role and open it: whoever holds the masters' key may."""
        known = await self.find(user.company, user.name)
        new = {"id": user.id, "created": user.created, "seal": new_version()} if known is None else {}
        kept = user if known is None else msgspec.structs.replace(known, role=user.role, disabled=False)
        _require(await self._put(kept, "*", new))

    async def _put(self, user: User, version: str, more: Mapping[str, object]) -> bytes:
        fields = {
            "email": user.email or "",
            "role": user.role.value,
            "agents": _agents_text(user.agents),
            "disabled": int(user.disabled),
            **more,
        }
        manages = "1" if user.role.may(Permission.MANAGE) and not user.disabled else ""
        named = [keys.prefix(user.company), keys.company(user.company)]
        given = [user.name, version, new_version(), manages, limits.USERS_PER_COMPANY]
        answer: bytes = await self._redis.run(scripts.USER, named, [*given, *_flat(fields)])
        return answer

    async def remove(self, known: User) -> None:
        """Remove a user with its tokens and sessions; ConflictError for the last who can manage the company."""
        named = [keys.prefix(known.company)]
        _require(await self._redis.run(scripts.DROP_USER, named, [known.name, known.version]))


_FIELDS: Final = ("id", "role", "email", "agents", "disabled", "created", "version", "seal", "password")
_names = msgspec.json.Decoder(list[str]).decode
_REFUSALS: Final[dict[bytes, tuple[type[DeployerError], str]]] = {
    b"GONE": (NotFoundError, "this user does not exist"),
    b"NO_COMPANY": (NotFoundError, "this company does not exist"),
    b"CHANGED": (ChangedError, "this user has changed since it was read: read it again"),
    b"EXISTS": (ConflictError, "a user of this name exists already"),
    b"FULL": (ConflictError, f"a company has at most {limits.USERS_PER_COMPANY} users"),
    b"LAST": (ConflictError, "this is the last user who can manage the company: make another owner first"),
}


def _require(answer: bytes) -> None:
    if answer != b"OK":
        kind, sentence = _REFUSALS[answer]
        raise kind(sentence)


def _flat(fields: Mapping[str, object]) -> list[object]:
    return [part for pair in fields.items() for part in pair]


def _agents_text(agents: AgentSet) -> str:
    return "" if agents is None else msgspec.json.encode(sorted(map(str, agents))).decode()


def read_agents(raw: bytes | None) -> AgentSet:
    """The agents that a user may use, as they are kept; ValueError for what was not kept by us."""
    return frozenset(AgentId.parse(one) for one in _names(raw)) if raw else None


def read_user(company: str, name: str, fields: Sequence[Any]) -> User | None:
    """A user from the fields of its record; None for none, ValueError for what is no user."""
    id_, role, email, agents, disabled, created, version, seal, password = fields
    if role is None:
        return None
    return User(
        company=company,
        name=name,
        id=(id_ or b"").decode(),
        role=Role(role.decode()),
        email=email.decode() if email else None,
        agents=read_agents(agents),
        disabled=disabled == b"1",
        created=int(created or 0),
        version=(version or b"").decode(),
        has_password=password is not None,
        seal=(seal or b"").decode(),
    )
