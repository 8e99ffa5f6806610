"""Sessions of browsers: log in with a password, see the session, log out; and the passwords of users."""

from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta, Struct
from twisted.logger import Logger

from deployer.dispatch.audit import AuditTrail
from deployer.errors import ForbiddenError, NotFoundError, TooManyError, UnauthorizedError
from deployer.kit.allowance import Allowance
from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.kit.http.peer import Peer
from deployer.kit.passwords import BusyError, Passwords
from deployer.model.access import Caller, Permission
from deployer.model.audit import Deed
from deployer.protocol.times import iso
from deployer.rest import cookies
from deployer.rest.answers import Answer
from deployer.rest.attempts import MINUTE_S, Attempts
from deployer.rest.companies import CompanyName, seen
from deployer.rest.endpoint import endpoint
from deployer.rest.users import CompanyQuery, is_self, require_above
from deployer.stores.companies import Companies
from deployer.stores.logins import Logins, digest_of
from deployer.stores.users import User, Users

Password = Annotated[str, Meta(min_length=12, max_length=1024)]
AnyPassword = Annotated[str, Meta(min_length=1, max_length=1024)]
LoginName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}\Z")]
PASSWORDS_A_MINUTE: Final = 10


class LogIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user's name and password, and the name of the company."""

    user: LoginName
    company: CompanyName = "default"
    password: AnyPassword


class PasswordRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new password. `current` is needed for the own one in a session, not with a token."""

    password: Password
    current: AnyPassword | None = None


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """A session. What changes something needs `csrf_token` in the header X-CSRF-Token."""

    user: str
    company: str
    role: str
    csrf_token: str
    expires: str


class SessionEnded(Struct, frozen=True):
    """The cookie opens nothing any more."""

    user: str


class PasswordSet(Struct, frozen=True):
    """The password is another one now, and all sessions of the user have ended."""

    user: str


class Door:
    """Who may try a password how often, and whether it is the right one."""

    log = Logger()

    def __init__(self, companies: Companies, users: Users, passwords: Passwords, clock: Clock) -> None:
        self._companies = companies
        self._users = users
        self._passwords = passwords
        self._tries = Allowance(PASSWORDS_A_MINUTE, MINUTE_S, clock)
        self.attempts = Attempts("log-ins", clock)

    async def enter(self, body: LogIn, peer: Peer) -> User:
        """The user, when all is right. One way and one answer for whatever is wrong: UnauthorizedError."""
        self.attempts.require(peer.source)
        self._try(f"{peer.source} {body.company}/{body.user}")
        company = await self._companies.named(body.company) or ""
        user, kept = await self._users.with_password(company, body.user)
        right = await self._matches(kept, body.password)
        if user is None or user.disabled or not right:
            raise self.attempts.failed(peer.source, UnauthorizedError("the company, the user or the password is wrong"))
        if kept is not None and self._passwords.is_old(kept):
            await self._users.set_password(user, await self._hash(body.password), seal=user.seal)
        return user

    async def change(self, user: User, body: PasswordRequest, peer: Peer, *, prove: bool) -> None:
        """Set a password; with `prove` only for who knows the current one, if there is one: else ForbiddenError."""
        self._try(f"{peer.source} {user.company}/{user.name}")
        _, kept = await self._users.with_password(user.company, user.name)
        if prove and kept is not None and not await self._matches(kept, body.current or ""):
            raise ForbiddenError("the current password is another one")
        await self._users.set_password(user, await self._hash(body.password), seal=None)

    def _try(self, key: str) -> None:
        if not self._tries.spend(key):
            raise TooManyError("too many passwords for this user from your address: wait", self._tries.wait_s(key))

    async def _matches(self, kept: str | None, password: str) -> bool:
        try:
            return await self._passwords.matches(kept, password)
        except BusyError:
            raise TooManyError(_BUSY) from None

    async def _hash(self, password: str) -> str:
        try:
            return await self._passwords.hash(password)
        except BusyError:
            raise TooManyError(_BUSY) from None


class SessionRoutes:
    """`/api/v1/session` and `/api/v1/users/<user>/password`. `forget` is told of sessions that have ended."""

    log = Logger()

    def __init__(
        self,
        door: Door,
        users: Users,
        logins: Logins,
        trail: AuditTrail,
        *,
        csrf_key: bytes,
        forget: Callable[[str], None],
        wall: WallClock,
    ) -> None:
        self._door = door
        self._users = users
        self._logins = logins
        self._trail = trail
        self._csrf_key = csrf_key
        self._forget = forget
        self._wall = wall

    @endpoint(
        "POST",
        "/api/v1/session",
        needs=Permission.PUBLIC,
        returns=SessionAnswer,
        body=LogIn,
        peer=True,
        statuses=(201,),
    )
    async def open(self, body: LogIn, peer: Peer) -> Answer:
        """Log in: the answer sets a cookie that a page's scripts cannot read."""
        if not peer.is_own_page:
            raise ForbiddenError("a page of another origin may not do this")
        if not (peer.secure or peer.is_loopback):
            raise ForbiddenError("passwords are taken over https only")
        user = await self._door.enter(body, peer)
        deed = Deed(user=user.name, address=peer.address, action="POST /api/v1/session", decision="allowed")
        await self._trail.note(user.company, deed)
        secret = await self._logins.open(user, epoch_ms(self._wall))
        digest = digest_of(secret)
        caller = Caller(user.name, user.company, user.role, "", user.agents, digest)
        return Answer(await self._answer(caller), 201, (cookies.given(secret, peer), ("location", "/api/v1/session")))

    @endpoint("GET", "/api/v1/session", needs=Permission.READ, returns=SessionAnswer)
    async def show(self, caller: Caller) -> SessionAnswer:
        """The session of the request's cookie."""
        return await self._answer(_in_session(caller))

    @endpoint("DELETE", "/api/v1/session", needs=Permission.READ, returns=SessionEnded, peer=True)
    async def close(self, caller: Caller, peer: Peer) -> Answer:
        """Log out."""
        await self._logins.close(_in_session(caller))
        self._forget(caller.session)
        return Answer(SessionEnded(caller.user), 200, (cookies.given("", peer),))

    @endpoint(
        "PUT",
        "/api/v1/users/<user>/password",
        needs=Permission.READ,
        returns=PasswordSet,
        body=PasswordRequest,
        query=CompanyQuery,
        peer=True,
    )
    async def set_password(
        self, caller: Caller, user: str, body: PasswordRequest, query: CompanyQuery, peer: Peer
    ) -> PasswordSet:
        """Set a password, the own one or that of a user below; all sessions of the user end."""
        company = seen(caller, query.company or caller.company)
        own = is_self(caller, company, user)
        if not own and not caller.may(Permission.MANAGE):
            raise ForbiddenError(f"the role {caller.role.value} may set no other user's password")
        known = await self._users.user(company, user)
        require_above(caller, known)
        await self._door.change(known, body, peer, prove=own and bool(caller.session))
        return PasswordSet(user)

    async def _answer(self, caller: Caller) -> SessionAnswer:
        return SessionAnswer(
            user=caller.user,
            company=caller.company,
            role=caller.role.value,
            csrf_token=cookies.csrf_token(self._csrf_key, caller.session),
            expires=iso(await self._logins.ends(caller.session)),
        )


_BUSY: Final = "too many passwords are looked at just now: try again in a moment"


def _in_session(caller: Caller) -> Caller:
    if not caller.session:
        raise NotFoundError("this request has a token and no session")
    return caller
