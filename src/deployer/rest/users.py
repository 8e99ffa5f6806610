"""Users of a company: listed, made, changed, removed by whoever manages it; everybody reads the own one."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.logger import Logger

from deployer.errors import ChangedError, ForbiddenError, InvalidError, MalformedError, UnavailableError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model import limits
from deployer.model.access import AgentSet, Caller, Permission, Role
from deployer.protocol.ids import AgentId, new_id
from deployer.protocol.times import iso
from deployer.rest.answers import Answer
from deployer.rest.companies import seen
from deployer.rest.conditional import Match, etag
from deployer.rest.endpoint import endpoint
from deployer.rest.paging import PageQuery
from deployer.rest.references import CompanyReference, company_href
from deployer.stores.users import User, Users

UserName = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z", description="1 to 63 of small letters, digits, underscore, hyphen"),
]
Email = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}\Z")]
AgentName = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,9}:[1-9][0-9]{0,9}\Z", description="gid:nid")]
AgentNames = Annotated[list[AgentName], Meta(max_length=limits.AGENTS_PER_USER)]
CompanyId = Annotated[str, Meta(max_length=64)]
TRIES: Final = 10


class UserRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new user. `company`: only the installation's admin may name another; `agents` null: all of the company."""

    name: UserName
    email: Email | None = None
    company: CompanyId | None = None
    agents: AgentNames | None = None
    role: Role = Role.VIEWER
    disabled: bool = False


class UserChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a user; what is left out stays."""

    email: Email | UnsetType | None = UNSET
    agents: AgentNames | UnsetType | None = UNSET
    role: Role | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class CompanyQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Of which company; only the installation's admin may name another than the own one."""

    company: CompanyId | None = None


class UsersQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which users: of this company, who may use this agent."""

    company: CompanyId | None = None
    agent: AgentName | None = None


class UserAnswer(Struct, frozen=True, kw_only=True):
    """A user as clients see it. `id` is the name, by which others refer to it; `agents` null: all of the company."""

    id: str
    href: str
    name: str
    email: str | None
    company: CompanyReference
    agents: list[str] | None
    role: Role
    disabled: bool
    has_password: bool
    created: str


class UserPage(Struct, frozen=True):
    """Some users by name, and where the next ones begin. With `agent` there may be fewer than `limit`."""

    items: list[UserAnswer]
    next: str | None


class UserRemoved(Struct, frozen=True):
    """The user is gone with all its tokens and sessions."""

    name: str


class UserRoutes:
    """`/api/v1/users`."""

    log = Logger()

    def __init__(self, users: Users, wall: WallClock) -> None:
        self._users = users
        self._wall = wall

    @endpoint("GET", "/api/v1/users", needs=Permission.MANAGE, returns=UserPage, query=UsersQuery)
    async def list_all(self, caller: Caller, query: UsersQuery) -> UserPage:
        """The company's users by name."""
        company = seen(caller, query.company or caller.company)
        agent = None if query.agent is None else _agents([query.agent], MalformedError("no agent has this number"))
        found = await self._users.users(company, _after(query.cursor), query.limit + 1)
        page = found[: query.limit]
        items = [_answer(caller, one) for one in page if agent is None or one.agents is None or agent <= one.agents]
        return UserPage(items, page[-1].name.replace("@", "~") if len(found) > query.limit else None)

    @endpoint("POST", "/api/v1/users", needs=Permission.MANAGE, returns=UserAnswer, body=UserRequest, statuses=(201,))
    async def make(self, caller: Caller, body: UserRequest) -> Answer:
        """Make a user: it gets in by a token or, once it has a password, by a session."""
        new = User(
            company=seen(caller, body.company or caller.company),
            name=body.name,
            id=new_id(self._wall()),
            role=body.role,
            email=body.email,
            agents=_wanted(body.agents),
            disabled=body.disabled,
            created=epoch_ms(self._wall),
        )
        require_above(caller, new)
        await self._users.make(new)
        self._tell(caller, "makes", new)
        return _shown(caller, await self._users.user(new.company, new.name), 201)

    @endpoint("GET", "/api/v1/users/<user>", needs=Permission.READ, returns=UserAnswer, query=CompanyQuery)
    async def show(self, caller: Caller, user: str, query: CompanyQuery) -> Answer:
        """One user: oneself, and others for whoever manages the company."""
        company = seen(caller, query.company or caller.company)
        if not caller.may(Permission.MANAGE) and not is_self(caller, company, user):
            raise ForbiddenError(f"the role {caller.role.value} may see no other user")
        return _shown(caller, await self._users.user(company, user))

    @endpoint(
        "PATCH",
        "/api/v1/users/<user>",
        needs=Permission.MANAGE,
        returns=UserAnswer,
        body=UserChange,
        query=CompanyQuery,
        conditional=True,
    )
    async def change(self, caller: Caller, user: str, body: UserChange, query: CompanyQuery, match: Match) -> Answer:
        """Change a user: all its tokens and sessions feel it within a second."""
        company = seen(caller, query.company or caller.company)
        for _ in range(TRIES):
            known = await self._users.user(company, user)
            match.require(known.version)
            wanted = _changed(known, body)
            _require_may_change(caller, known, wanted)
            try:
                await self._users.change(known, wanted)
            except ChangedError:
                continue
            self._tell(caller, "changes", wanted)
            return _shown(caller, await self._users.user(company, user))
        raise UnavailableError("this user changes too fast; try again in a moment")

    @endpoint(
        "DELETE",
        "/api/v1/users/<user>",
        needs=Permission.MANAGE,
        returns=UserRemoved,
        query=CompanyQuery,
        conditional=True,
    )
    async def remove(self, caller: Caller, user: str, query: CompanyQuery, match: Match) -> UserRemoved:
        """Remove a user with all its tokens and sessions."""
        known = await self._users.user(seen(caller, query.company or caller.company), user)
        match.require(known.version)
        require_above(caller, known)
        if is_self(caller, known.company, user):
            raise ForbiddenError("nobody removes the own user: ask another owner")
        await self._users.remove(known)
        self._tell(caller, "removes", known)
        return UserRemoved(user)

    def _tell(self, caller: Caller, does: str, user: User) -> None:
        self.log.warn(
            "audit: user {user} {does} user {name} of {company}, {role}, disabled: {disabled}",
            user=caller.user,
            does=does,
            name=user.name,
            company=user.company,
            role=user.role.value,
            disabled=user.disabled,
        )


def is_self(caller: Caller, company: str, user: str) -> bool:
    """Whether the caller is this user."""
    return (caller.company, caller.user) == (company, user)


def require_above(caller: Caller, user: User) -> None:
    """ForbiddenError when a user has, or would have, a right or an agent that the caller lacks."""
    if not caller.is_above(user.role, user.agents):
        raise ForbiddenError(f"the role {caller.role.value} may not give or change what it has not itself")


def _require_may_change(caller: Caller, known: User, wanted: User) -> None:
    require_above(caller, known)
    require_above(caller, wanted)
    rights = [(one.role, one.agents, one.disabled) for one in (known, wanted)]
    if is_self(caller, known.company, known.name) and rights[0] != rights[1]:
        raise ForbiddenError("nobody changes the own rights: ask another owner")


def _changed(known: User, body: UserChange) -> User:
    given = {name: getattr(body, name) for name in ("email", "role", "disabled") if getattr(body, name) is not UNSET}
    if body.agents is not UNSET:
        given["agents"] = _wanted(body.agents)
    return msgspec.structs.replace(known, **given)


def _wanted(names: Sequence[str] | None) -> AgentSet:
    return None if names is None else _agents(names, InvalidError("/agents", "no agent has a number of this form"))


def _agents(names: Sequence[str], error: Exception) -> frozenset[AgentId]:
    try:
        return frozenset(AgentId.parse(name) for name in names)
    except ValueError:
        raise error from None


def _after(cursor: str | None) -> str | None:
    return None if cursor is None else cursor.replace("~", "@")


def _shown(caller: Caller, user: User, status: int = 200) -> Answer:
    answer = _answer(caller, user)
    location = [("location", answer.href)] if status == 201 else []  # noqa: PLR2004 (Created)
    return Answer(answer, status, (etag(user.version), *location))


def _answer(caller: Caller, user: User) -> UserAnswer:
    elsewhere = "" if user.company == caller.company else f"?company={user.company}"
    return UserAnswer(
        id=user.name,
        href=f"/api/v1/users/{user.name}{elsewhere}",
        name=user.name,
        email=user.email,
        company=CompanyReference(user.company, company_href(user.company)),
        agents=None if user.agents is None else [str(one) for one in sorted(user.agents)],
        role=user.role,
        disabled=user.disabled,
        has_password=user.has_password,
        created=iso(user.created),
    )
