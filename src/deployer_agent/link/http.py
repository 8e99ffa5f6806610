"""Requests to the master: bounded in time and size, one media type, connections kept.

Twisted's `Agent` is used as it is: it follows no redirects, keeps no cookies, and unpacks no compressed bodies.
"""

from typing import Any, Final, TypeVar

import msgspec
from OpenSSL.SSL import Error as TlsError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed, DNSLookupError
from twisted.web.client import RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers

from deployer.kit.cancelling import cancellable
from deployer.kit.clock import Clock
from deployer.kit.http.body import Body, collect
from deployer.kit.tls.verified import NOT_ITS_NAME
from deployer.protocol.wire import MEDIA_TYPE, Problem
from deployer_agent.errors import LinkError, ProblemError

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
POST_S: Final = 30.0
_OK: Final = 200
_WRAPPED: Final = (ResponseFailed, RequestTransmissionFailed, RequestGenerationFailed)
_LOST: Final = (*_WRAPPED, ConnectError, ConnectionClosed, DNSLookupError, TlsError, *NOT_ITS_NAME)

T = TypeVar("T")


class Http:
    """Speaks with one master (or what balances several) in the wire's media type."""

    def __init__(self, agent: Any, clock: Clock, url: str, version: str) -> None:
        self._agent = agent
        self._clock = clock
        self._url = url.rstrip("/").encode()
        self._headers = {b"accept": MEDIA_TYPE.encode(), b"user-agent": f"deployer-agent/{version}".encode()}

    async def get(self, path: str, kind: type[T], *, token: str = "", deadline_s: float = POST_S) -> T:
        """GET; LinkError when it brings no answer of this kind."""
        return await self._ask(b"GET", path, None, kind, token=token, deadline_s=deadline_s)

    async def post(self, path: str, body: bytes, kind: type[T], *, token: str = "") -> T:
        """POST; LinkError when it brings no answer of this kind."""
        return await self._ask(b"POST", path, body, kind, token=token, deadline_s=POST_S)

    async def _ask(
        self, method: bytes, path: str, body: bytes | None, kind: type[T], *, token: str, deadline_s: float
    ) -> T:
        exchange = cancellable(Deferred.fromCoroutine(self._exchange(method, path, body, self._with(token, body))))
        exchange.addTimeout(deadline_s, self._clock)  # type: ignore[arg-type]  # all it uses is callLater
        try:
            content = await exchange
        except DeadlineError:
            raise LinkError(f"no answer to {method.decode()} {path} in {deadline_s:g} s") from None
        except _LOST as error:
            raise LinkError(_sentence(error)) from error
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LinkError(f"the answer to {path} is not what was asked for: {error}") from None

    def _with(self, token: str, body: bytes | None) -> Headers:
        headers = Headers({name: [value] for name, value in self._headers.items()})
        if token:
            headers.setRawHeaders(b"authorization", [b"Bearer " + token.encode()])
        if body is not None:
            headers.setRawHeaders(b"content-type", [MEDIA_TYPE.encode()])
        return headers

    async def _exchange(self, method: bytes, path: str, body: bytes | None, headers: Headers) -> bytes:
        producer = None if body is None else Body(body)
        try:
            response = await self._agent.request(method, self._url + path.encode(), headers, producer)
            content = await collect(response, MAX_ANSWER_BYTES, LinkError)
        except ConnectingCancelledError as error:
            raise CancelledError from error
        except _WRAPPED as error:
            if any(reason.check(CancelledError) for reason in error.reasons):
                raise CancelledError from error
            raise
        _require_ours(response, content)
        return content


def _require_ours(response: Any, content: bytes) -> None:
    """Refuse what is not an answer of a master: nothing of it is looked at further."""
    if response.code != _OK:
        raise _problem(response, content)
    kind = _media_type(response)
    if kind != MEDIA_TYPE:
        raise LinkError(f"the answer is {kind or 'of no media type'}, not {MEDIA_TYPE}: is this URL a master's?")


def _problem(response: Any, content: bytes) -> ProblemError:
    problem = Problem()
    if _media_type(response) == "application/problem+json":
        try:
            problem = msgspec.json.decode(content, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            problem = Problem()
    return ProblemError(response.code, problem.code, problem.detail)


def _media_type(response: Any) -> str:
    values = response.headers.getRawHeaders("content-type", [""])
    return str(values[0]).partition(";")[0].strip().lower()


def _sentence(error: BaseException) -> str:
    """Find what lies under Twisted's wrappers."""
    reasons: list[Any] = getattr(error, "reasons", [])
    inner = reasons[0].value if reasons else error
    if isinstance(inner, NOT_ITS_NAME):
        return "the master cannot be reached: the certificate that is shown is for another name"
    if isinstance(inner, TlsError) and inner.args and isinstance(inner.args[0], list):
        return f"the master cannot be reached: TLS failed: {', '.join(str(one[-1]) for one in inner.args[0])}"[:300]
    return f"the master cannot be reached: {inner or type(inner).__name__}"[:300]
