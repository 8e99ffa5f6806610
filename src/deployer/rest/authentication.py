"""Whose request this is: bearer tokens and sessions, each looked up at most once a second."""

import base64
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct
from twisted.web.http import Request

from deployer.errors import MalformedError, NoSpaceError, UnauthorizedError, UnavailableError
from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.kit.http.peer import Peers
from deployer.model.access import Caller
from deployer.rest import cookies
from deployer.rest.attempts import Attempts
from deployer.stores.logins import Logins, digest_of
from deployer.stores.tokens import USER, Token, Tokens

CACHE_S: Final = 1.0
NOTE_S: Final = 60.0
CACHE_SIZE: Final = 10_000
_ADVICE: Final = "a valid token is needed: Authorization: Bearer dpl_…"


class _Cached(Struct, frozen=True):
    caller: Caller
    until: float


class Authenticator:
    """Turns a request's token or session into its caller. What has ended works for a second more at most, anywhere."""

    def __init__(
        self, tokens: Tokens, logins: Logins, peers: Peers, *, csrf_key: bytes, clock: Clock, wall: WallClock
    ) -> None:
        self._wall = wall
        self._noted: dict[str, float] = {}
        self._tokens = tokens
        self._logins = logins
        self._peers = peers
        self._csrf_key = csrf_key
        self._clock = clock
        self._cache: dict[str, _Cached] = {}
        self.attempts = Attempts("tokens", clock)

    async def caller(self, request: Request) -> Caller:
        """The caller.

        UnauthorizedError without a valid token or session, TooManyError when too many wrong ones came from there,
        MalformedError with two, ForbiddenError for a session's request that no page of ours can have sent.
        """
        peer = self._peers.of(request)
        header = request.requestHeaders.getRawHeaders(b"authorization", [])
        secret = None if header else cookies.find(request, peer)
        try:
            if secret is None:
                return await self._of_token(bearer(request))
            caller = await self._of_session(digest_of(secret))
        except UnauthorizedError as error:
            if secret is None and not any(header):
                raise
            raise self.attempts.failed(peer.source, error) from None
        cookies.require_own_page(request, peer, cookies.csrf_token(self._csrf_key, caller.session))
        return caller

    async def caller_of_token(self, request: Request) -> Caller:
        """The caller by a token alone, as other programs send it: no page of another origin makes a browser add it.

        Errors as in `caller`.
        """
        try:
            return await self._of_token(bearer_or_password(request))
        except UnauthorizedError as error:
            if not any(request.requestHeaders.getRawHeaders(b"authorization", [])):
                raise
            raise self.attempts.failed(self._peers.of(request).source, error) from None

    def forget(self, digest: str) -> None:
        """A session has ended: it works no more on this master."""
        self._cache.pop(digest, None)

    async def _of_token(self, text: str) -> Caller:
        token = Token.parse(text)
        if token is None:
            raise UnauthorizedError(_ADVICE)
        return await self._remembered(
            text, token.kid, lambda: self._tokens.caller(token), lambda: self._tokens.used(token, epoch_ms(self._wall))
        )

    async def _of_session(self, digest: str) -> Caller:
        return await self._remembered(
            digest,
            digest,
            lambda: self._logins.caller(digest, epoch_ms(self._wall)),
            lambda: self._logins.used(digest),
        )

    async def _remembered(
        self,
        key: str,
        note: str,
        look: Callable[[], Awaitable[Caller | None]],
        used: Callable[[], Awaitable[None]],
    ) -> Caller:
        cached = self._cache.get(key)
        if cached is not None and cached.until > self._clock.seconds():
            return cached.caller
        caller = await look()
        if caller is None:
            self._cache.pop(key, None)
            raise UnauthorizedError(_ADVICE)
        await self._note(note, used)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[key] = _Cached(caller, self._clock.seconds() + CACHE_S)
        return caller

    async def _note(self, name: str, used: Callable[[], Awaitable[None]]) -> None:
        """Its last use, at most once a minute."""
        now = self._clock.seconds()
        if self._noted.get(name, 0.0) <= now:
            if len(self._noted) >= CACHE_SIZE:
                self._noted.clear()
            self._noted[name] = now + NOTE_S
            with contextlib.suppress(UnavailableError, NoSpaceError):  # who reads may while nothing can be written
                await used()


def bearer(request: Request) -> str:
    """The token of the one Authorization header."""
    return _of_scheme(request, "bearer")


def bearer_or_password(request: Request) -> str:
    """The token of the one Authorization header: Bearer, as clients of InfluxDB say Token, or Basic.

    In Basic it is the password, or its two parts are user and password.
    """
    scheme, token = credentials(request)
    if scheme != "basic":
        return _of_scheme(request, "bearer", "token")
    try:
        user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except ValueError:
        raise UnauthorizedError(_ADVICE) from None
    return password if password.startswith(f"{USER}_") else f"{USER}_{user}_{password}"


def _of_scheme(request: Request, *schemes: str) -> str:
    scheme, token = credentials(request)
    if scheme not in schemes or not token:
        raise UnauthorizedError(_ADVICE)
    return token


def credentials(request: Request) -> tuple[str, str]:
    """Scheme, in small letters, and what is behind it, of the one Authorization header."""
    values = [raw.decode("latin-1") for raw in request.requestHeaders.getRawHeaders(b"authorization", [])]
    if len(values) > 1:
        raise MalformedError("two Authorization headers")
    scheme, _, rest = values[0].partition(" ") if values else ("", "", "")
    return scheme.lower(), rest.strip()
