"""Tokens of users and for joining: made (and shown once), listed, revoked; who the caller is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from twisted.logger import Logger

from deployer.errors import ForbiddenError, InvalidError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model import limits
from deployer.model.access import Caller, Permission, Role, lesser
from deployer.protocol.ids import GridId
from deployer.protocol.times import epoch_ms_of, iso
from deployer.rest.answers import Answer
from deployer.rest.endpoint import endpoint
from deployer.rest.users import is_self, require_above
from deployer.stores.agents import Agents
from deployer.stores.tokens import JOIN, USER, Token, Tokens
from deployer.stores.users import Users

Label = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*\Z")]
User = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}\Z")]
DAY_MS: Final = 86_400_000


class TokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token for a user (by default the caller) with a role (by default the user's, or the caller's lesser one).

    A token never has more rights than its user has at the time. `expires` null: never.
    """

    name: Label
    user: User | None = None
    role: Role | None = None
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class JoinTokenRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token by which agents join a grid: so often (null: any number), until then (a day by default, 30 at most)."""

    name: Label
    gid: GridId = 1
    uses: Annotated[int, Meta(ge=1, le=1_000_000)] | None = 1
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class TokenAnswer(Struct, frozen=True, kw_only=True):
    """A token without its secret."""

    id: str
    href: str
    name: str
    user: str
    role: str
    by: str
    created: str | None
    expires: str | None
    used: str | None


class NewTokenAnswer(TokenAnswer, frozen=True, kw_only=True):
    """The same with its text, which is shown this once."""

    token: str


class JoinTokenAnswer(Struct, frozen=True, kw_only=True):
    """A join token without its secret; `uses` are those that are left, null for any number."""

    id: str
    href: str
    name: str
    gid: int
    uses: int | None
    by: str
    created: str | None
    expires: str | None


class NewJoinTokenAnswer(JoinTokenAnswer, frozen=True, kw_only=True):
    """The same with its text, which is shown this once."""

    token: str


class TokenPage(Struct, frozen=True):
    """All of the company, the oldest first."""

    items: list[TokenAnswer]
    next: None = None


class JoinTokenPage(Struct, frozen=True):
    """All of the company, the oldest first."""

    items: list[JoinTokenAnswer]
    next: None = None


class CallerAnswer(Struct, frozen=True):
    """Who asks. `token` is empty in a session; `agents` null: all of the company."""

    user: str
    company: str
    role: str
    token: str
    agents: list[str] | None


class Revoked(Struct, frozen=True):
    """It opens nothing any more."""

    id: str


class TokenRoutes:
    """`/api/v1/tokens`, `/api/v1/join-tokens`, `/api/v1/user`."""

    log = Logger()

    def __init__(self, tokens: Tokens, users: Users, agents: Agents, wall: WallClock, pin: str = "") -> None:
        """`pin`: the fingerprint of our own CA, which goes with each join token."""
        self._tokens = tokens
        self._users = users
        self._agents = agents
        self._wall = wall
        self._pin = pin

    @endpoint("GET", "/api/v1/user", needs=Permission.READ, returns=CallerAnswer)
    async def caller(self, caller: Caller) -> CallerAnswer:
        """Who the caller is."""
        agents = None if caller.agents is None else [str(one) for one in sorted(caller.agents)]
        return CallerAnswer(caller.user, caller.company, caller.role.value, caller.token, agents)

    @endpoint("GET", "/api/v1/tokens", needs=Permission.MANAGE, returns=TokenPage)
    async def list_all(self, caller: Caller) -> TokenPage:
        """The company's tokens."""
        return TokenPage([_user_token(kid, its) for kid, its in await self._tokens.listed(caller.company, USER)])

    @endpoint(
        "POST", "/api/v1/tokens", needs=Permission.MANAGE, returns=NewTokenAnswer, body=TokenRequest, statuses=(201,)
    )
    async def make(self, caller: Caller, body: TokenRequest) -> Answer:
        """Make a token. Its text is in this answer and nowhere else."""
        user = await self._users.find(caller.company, body.user or caller.user)
        if user is None:
            raise InvalidError("/user", "the company has no such user", "no_matching_user")
        if not is_self(caller, caller.company, user.name):
            require_above(caller, user)
        role = body.role or lesser(caller.role, user.role)
        if not caller.may_give(role):
            raise ForbiddenError(f"the role {caller.role.value} may not give the role {role.value}")
        now = epoch_ms(self._wall)
        token, fields = Token.new(USER), {"user": user.name, "role": role.value}
        known = {**fields, "name": body.name, "by": caller.user, "created": now}
        expires = _expiry(body.expires, now, None)
        await self._tokens.make(token, caller.company, known, expires)
        self._tell(caller, "makes", token.kid, f"for {fields['user']} as {role.value}")
        shown = _user_token(token.kid, _texts(known, expires))
        return _created(NewTokenAnswer(token=token.text, **_parts(shown)), shown.href)

    @endpoint("DELETE", "/api/v1/tokens/<token_id>", needs=Permission.MANAGE, returns=Revoked)
    async def revoke(self, caller: Caller, token_id: str) -> Revoked:
        """Revoke a token: within a second no master takes it any more."""
        user = await self._users.find(caller.company, await self._tokens.user(caller.company, token_id))
        if user is not None and not is_self(caller, caller.company, user.name):
            require_above(caller, user)
        await self._tokens.revoke(caller.company, USER, token_id)
        self._tell(caller, "revokes", token_id, "")
        return Revoked(token_id)

    @endpoint("GET", "/api/v1/join-tokens", needs=Permission.MANAGE, returns=JoinTokenPage)
    async def list_joining(self, caller: Caller) -> JoinTokenPage:
        """The company's join tokens."""
        return JoinTokenPage([_join_token(kid, its) for kid, its in await self._tokens.listed(caller.company, JOIN)])

    @endpoint(
        "POST",
        "/api/v1/join-tokens",
        needs=Permission.MANAGE,
        returns=NewJoinTokenAnswer,
        body=JoinTokenRequest,
        statuses=(201,),
    )
    async def make_joining(self, caller: Caller, body: JoinTokenRequest) -> Answer:
        """Make a join token. Its text is in this answer and nowhere else."""
        if not await self._agents.owns_grid(caller.company, body.gid):
            raise InvalidError("/gid", "the company has no such grid")
        now = epoch_ms(self._wall)
        token, known = Token.new(JOIN), {"gid": body.gid, "uses": -1 if body.uses is None else body.uses}
        named = {**known, "name": body.name, "by": caller.user, "created": now}
        expires = _expiry(body.expires, now, limits.JOIN_TOKEN_S * 1000) or now + DAY_MS
        await self._tokens.make(token, caller.company, named, expires)
        self._tell(caller, "makes", token.kid, f"to join grid {body.gid}")
        shown = _join_token(token.kid, _texts(named, expires))
        return _created(NewJoinTokenAnswer(token=token.pinned(self._pin), **_parts(shown)), shown.href)

    @endpoint("DELETE", "/api/v1/join-tokens/<token_id>", needs=Permission.MANAGE, returns=Revoked)
    async def revoke_joining(self, caller: Caller, token_id: str) -> Revoked:
        """Revoke a join token: nobody joins by it any more. Agents that have joined stay."""
        await self._tokens.revoke(caller.company, JOIN, token_id)
        self._tell(caller, "revokes", token_id, "to join")
        return Revoked(token_id)

    def _tell(self, caller: Caller, does: str, kid: str, what: str) -> None:
        self.log.warn("audit: user {user} {does} token {kid} {what}", user=caller.user, does=does, kid=kid, what=what)


def _expiry(asked: datetime | None, now: int, most_ms: int | None) -> int | None:
    if asked is None:
        return None
    expires = epoch_ms_of(asked)
    if expires <= now:
        raise InvalidError("/expires", "this time has passed")
    if most_ms is not None and expires > now + most_ms:
        raise InvalidError("/expires", f"at most {most_ms // DAY_MS} days from now")
    return expires


def _texts(known: Mapping[str, object], expires: int | None) -> dict[str, str]:
    return {name: str(value) for name, value in {**known, "expires": expires or ""}.items()}


def _parts(record: Struct) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _created(record: Struct, href: str) -> Answer:
    return Answer(record, 201, (("location", href),))


def _user_token(kid: str, its: Mapping[str, str]) -> TokenAnswer:
    return TokenAnswer(
        id=kid,
        href=f"/api/v1/tokens/{kid}",
        name=its.get("name", ""),
        user=its.get("user", ""),
        role=its.get("role", ""),
        by=its.get("by", ""),
        created=_time(its, "created"),
        expires=_time(its, "expires"),
        used=_time(its, "used"),
    )


def _join_token(kid: str, its: Mapping[str, str]) -> JoinTokenAnswer:
    uses = int(its.get("uses", "0"))
    return JoinTokenAnswer(
        id=kid,
        href=f"/api/v1/join-tokens/{kid}",
        name=its.get("name", ""),
        gid=int(its["gid"]),
        uses=None if uses < 0 else uses,
        by=its.get("by", ""),
        created=_time(its, "created"),
        expires=_time(its, "expires"),
    )


def _time(its: Mapping[str, str], name: str) -> str | None:
    return iso(int(its[name])) if its.get(name) else None
