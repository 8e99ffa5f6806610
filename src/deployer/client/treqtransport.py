"""HTTP to one master over treq: what `transport` does, for programs that run in Twisted's reactor.

Everything sent here may be sent twice, as there.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from cryptography import x509
from OpenSSL.SSL import Context
from OpenSSL.SSL import Error as TlsError
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from deployer.client.answers import AWAY, BAD, asked_to_wait, decode, error_of
from deployer.client.errors import ClientError, Unreachable
from deployer.client.patience import Patience
from deployer.client.requests import SILENCE_S, Address, content, headers_of, with_query
from deployer.client.treqbody import Pieces
from deployer.kit.tls.verified import NOT_ITS_NAME, Verified, client_context

T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]
_WRAPPED: Final = (ResponseFailed, RequestTransmissionFailed, RequestGenerationFailed)
LOST: Final = (*_WRAPPED, ConnectError, ConnectionClosed, DNSLookupError, DeadlineError, TlsError, *NOT_ITS_NAME)
_OK: Final = 200


class TreqTransport:
    """Requests to one master. `patience_s` is how long it tries again while no master answers.

    `agent`: an IAgent of yours, as for a proxy; it then decides whom to trust.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: str | None,
        *,
        timeout_s: float,
        patience_s: float,
        reactor: Any = None,
        agent: Any = None,
        pause: Pause | None = None,
    ) -> None:
        self._address = Address.read(url)
        self._headers = headers_of(token)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._reactor = _default() if reactor is None else reactor
        self._pool = HTTPConnectionPool(self._reactor)
        self._pool.retryAutomatically = False  # what is tried again is decided here
        made: Any = agent or Agent(self._reactor, Policy(ca_file), pool=self._pool)  # zope's interfaces
        self._http: Any = HTTPClient(made)
        self.pause = pause or self._sleep

    async def close(self) -> None:
        """Drop the connections; the next request makes others."""
        await self._pool.closeCachedConnections()

    async def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send, again while the master is away or busy, and decode the JSON of the answer. A text is sent as it is."""
        target = with_query(path, query)

        async def send() -> tuple[Any, bytes]:
            response = await self._send(method, target, body, headers or {})
            return response, await self._pieces(response, self._timeout_s).whole()

        response, answer = await self._until_answered(send)
        if response.code >= BAD:
            raise error_of(response.code, answer)
        return decode(answer)

    async def stream(self, path: str, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """Yield what comes; a lost connection ends it with one of LOST, a refusal with ApiError."""

        async def send() -> tuple[Any, bytes]:
            response = await self._send("GET", path, None, headers)
            fine = response.code == _OK
            return response, b"" if fine else await self._pieces(response, self._timeout_s).whole()

        response, answer = await self._until_answered(send)
        if response.code in AWAY:
            raise Unreachable(str(error_of(response.code, answer)))
        if response.code != _OK:
            raise error_of(response.code, answer)
        pieces = self._pieces(response, SILENCE_S)
        try:
            while piece := await pieces.next():
                yield piece
        finally:
            pieces.close()

    async def _until_answered(self, send: Callable[[], Any]) -> tuple[Any, bytes]:
        patience = Patience(self._patience_s, time.monotonic())
        while True:
            try:
                response, answer = await within(Deferred.fromCoroutine(send()), self._timeout_s, self._reactor)
            except LOST as error:
                why, for_good = _why(error)
                again = None if for_good else patience.after_loss(time.monotonic())
                if again is None:
                    at = self._address.url
                    raise Unreachable(f"{at}: {why}" if for_good else f"no master answers at {at}: {why}") from error
                wait = again
            else:
                after = response.headers.getRawHeaders("retry-after", [""])[0]
                wait = asked_to_wait(response.code, after, self._timeout_s)
                if not wait or not patience.extend(wait, response.code):
                    return response, answer
            await self.pause(wait)

    async def _send(self, method: str, target: str, body: object, headers: Mapping[str, str]) -> Any:
        data, kind = content(body)
        return await self._http.request(
            method,
            self._address.base + target,
            headers={**self._headers, **kind, **headers},
            data=data,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )

    def _pieces(self, response: Any, silence_s: float) -> Pieces:
        pieces = Pieces(self._reactor, silence_s)
        response.deliverBody(pieces)
        return pieces

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds)


def within(exchange: Deferred[T], seconds: float, reactor: Any) -> Deferred[T]:
    """The same with a deadline; it ends at once when it is cancelled, which a request of Twisted's does not always."""
    over = False

    def cancel(_: Deferred[T]) -> None:
        nonlocal over
        over = True  # however Twisted words what comes of it
        exchange.cancel()

    def tell(outcome: T | Failure) -> None:
        if not (over or own.called):
            own.callback(outcome)

    own: Deferred[T] = Deferred(cancel)
    exchange.addBoth(tell)
    return own.addTimeout(seconds, reactor)


@implementer(IPolicyForHTTPS)
class Policy:
    """Whom to trust: the CAs in a file, else those of the system."""

    def __init__(self, ca_file: str | None) -> None:
        self._context: Context = client_context(_roots(ca_file))

    def creatorForNetloc(self, hostname: bytes, port: int) -> Verified:  # noqa: ARG002, N802 (Twisted's names)
        """How to connect to a host."""
        return Verified(self._context, hostname.decode("ascii").strip("[]"))


def _roots(ca_file: str | None) -> list[x509.Certificate] | None:
    try:
        return None if ca_file is None else x509.load_pem_x509_certificates(Path(ca_file).read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ClientError(f"cannot read the certificates in {ca_file}: {why}") from error


def _why(error: BaseException) -> tuple[str, bool]:
    """What lies under Twisted's wrappers, and whether trying again is of no use."""
    reasons: list[Any] = getattr(error, "reasons", [])
    inner = reasons[0].value if reasons else error
    if isinstance(inner, NOT_ITS_NAME):
        return "its certificate is not trusted: it is for another name", True
    if isinstance(inner, TlsError):
        said = (
            ", ".join(str(one[-1]) for one in inner.args[0]) if inner.args and isinstance(inner.args[0], list) else ""
        )
        return (
            (f"its certificate is not trusted: {said}", True)
            if "certificate" in said
            else (f"TLS failed: {said}", False)
        )
    if isinstance(inner, DeadlineError):
        return "no answer in time", False
    return f"{inner or type(inner).__name__}", False


def _default() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (the program's own, where it names no other)

    return reactor
