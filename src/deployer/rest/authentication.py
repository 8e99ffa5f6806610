"""Whose request this is: bearer tokens, looked up at most once a second each."""

import contextlib
from typing import Final

from msgspec import Struct
from twisted.web.http import Request

from deployer.errors import MalformedError, NoSpaceError, UnauthorizedError, UnavailableError
from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.model.access import Caller
from deployer.stores.tokens import Token, Tokens

CACHE_S: Final = 1.0
NOTE_S: Final = 60.0
CACHE_SIZE: Final = 10_000
_ADVICE: Final = "a valid token is needed: Authorization: Bearer dpl_…"


class _Cached(Struct, frozen=True):
    caller: Caller
    until: float


class Authenticator:
    """Turns a request's token into its caller. A revoked token works for a second more at most, on any master."""

    def __init__(self, tokens: Tokens, clock: Clock, wall: WallClock) -> None:
        self._wall = wall
        self._noted: dict[str, float] = {}
        self._tokens = tokens
        self._clock = clock
        self._cache: dict[str, _Cached] = {}

    async def caller(self, request: Request) -> Caller:
        """The caller; UnauthorizedError without a valid token, MalformedError with two."""
        text = bearer(request)
        cached = self._cache.get(text)
        if cached is not None and cached.until > self._clock.seconds():
            return cached.caller
        token = Token.parse(text)
        caller = None if token is None else await self._tokens.caller(token)
        if caller is None:
            self._cache.pop(text, None)
            raise UnauthorizedError(_ADVICE)
        if token is not None:
            await self._note(token)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[text] = _Cached(caller, self._clock.seconds() + CACHE_S)
        return caller

    async def _note(self, token: Token) -> None:
        """Its last use, at most once a minute."""
        now = self._clock.seconds()
        if self._noted.get(token.kid, 0.0) <= now:
            if len(self._noted) >= CACHE_SIZE:
                self._noted.clear()
            self._noted[token.kid] = now + NOTE_S
            with contextlib.suppress(
                UnavailableError, NoSpaceError
            ):  # who reads may do so while nothing can be written
                await self._tokens.used(token, epoch_ms(self._wall))


def bearer(request: Request) -> str:
    """The token of the one Authorization header."""
    values = request.requestHeaders.getRawHeaders("authorization", [])
    if len(values) > 1:
        raise MalformedError("two Authorization headers")
    scheme, _, token = values[0].partition(" ") if values else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise UnauthorizedError(_ADVICE)
    return token.strip()
