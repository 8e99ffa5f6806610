"""Whose request this is: bearer tokens, looked up at most once a second each."""

from typing import Final

from msgspec import Struct
from twisted.web.http import Request

from deployer.errors import MalformedError, UnauthorizedError
from deployer.kit.clock import Clock
from deployer.model.access import Caller
from deployer.stores.tokens import Token, Tokens

CACHE_S: Final = 1.0
CACHE_SIZE: Final = 10_000
_ADVICE: Final = "a valid token is needed: Authorization: Bearer dpl_…"


class _Cached(Struct, frozen=True):
    caller: Caller
    until: float


class Authenticator:
    """Turns a request's token into its caller. A revoked token works for a second more at most, on any master."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
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
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[text] = _Cached(caller, self._clock.seconds() + CACHE_S)
        return caller


def bearer(request: Request) -> str:
    """The token of the one Authorization header."""
    values = request.requestHeaders.getRawHeaders("authorization", [])
    if len(values) > 1:
        raise MalformedError("two Authorization headers")
    scheme, _, token = values[0].partition(" ") if values else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise UnauthorizedError(_ADVICE)
    return token.strip()
