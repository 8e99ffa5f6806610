"""POST to whom strangers name: the address that is connected to is looked at, nothing is followed, all is bounded."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Final

from OpenSSL.SSL import Error as TlsError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.ssl import optionsForClientTLS
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from deployer.kit.cancelling import cancellable
from deployer.kit.http.body import Body, collect
from deployer.kit.threads import Threads

DEADLINE_S: Final = 5.0
MAX_ANSWER_BYTES: Final = 64 * 1024
_WRAPPED: Final = (ResponseFailed, RequestTransmissionFailed, RequestGenerationFailed)
_LOST: Final = (*_WRAPPED, ConnectError, ConnectionClosed, TlsError, ConnectingCancelledError)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Require = Callable[[Address], None]
"""ValueError for an address that is not to be connected to."""


class Undelivered(Exception):  # noqa: N818 (it says what it is)
    """There was no answer, or none that was read; why."""


class Outgoing:
    """Sends. `require` judges each address that a name stands for, at the moment of its use."""

    def __init__(self, reactor: Any, threads: Threads, require: Require) -> None:
        self._reactor = reactor
        self._threads = threads
        self._require = require

    async def post(self, url: str, host: str, port: int, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer; Undelivered without one within 5 s."""
        exchange = cancellable(Deferred.fromCoroutine(self._exchange(url, (host, port), headers, body)))
        exchange.addTimeout(DEADLINE_S, self._reactor)
        try:
            return await exchange
        except DeadlineError:
            raise Undelivered(f"no answer within {DEADLINE_S:g} s") from None
        except _LOST as error:
            raise Undelivered(_sentence(error)) from None

    async def _exchange(self, url: str, where: tuple[str, int], headers: dict[str, str], body: bytes) -> int:
        address = await self._address(*where)
        pool = HTTPConnectionPool(self._reactor, persistent=False)
        agent = Agent.usingEndpointFactory(self._reactor, _To(self._reactor, address, *where), pool)
        given = Headers({name.encode(): [value.encode()] for name, value in headers.items()})
        try:
            response: Any = await agent.request(b"POST", url.encode(), given, Body(body))
            await collect(response, MAX_ANSWER_BYTES, Undelivered)
        except _WRAPPED as error:
            if any(reason.check(CancelledError) for reason in error.reasons):
                raise CancelledError from error
            raise
        return int(response.code)

    async def _address(self, host: str, port: int) -> Address:
        """The first of those that a name stands for; all of them must be allowed."""
        try:
            found = await self._threads.run(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Undelivered(f"{host} is not known: {error}") from None
        addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
        try:
            for one in addresses:
                self._require(one)
        except ValueError as error:
            raise Undelivered(str(error)) from None
        return addresses[0]


@implementer(IAgentEndpointFactory)
class _To:
    """Connects to the address that was looked at, whatever the name says by now."""

    def __init__(self, reactor: Any, address: Address, host: str, port: int) -> None:
        self._reactor = reactor
        self._address = address
        self._host = host
        self._port = port

    def endpointForURI(self, uri: Any) -> Any:  # noqa: N802 (Twisted's)
        kind: Any = TCP4ClientEndpoint if self._address.version == 4 else TCP6ClientEndpoint  # noqa: PLR2004 (IPv4)
        endpoint = kind(self._reactor, str(self._address), self._port, timeout=DEADLINE_S)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(optionsForClientTLS(self._host), endpoint)
        return _Bounded(endpoint)


class _Bounded:
    """Cuts a connection on which more comes than a whole answer may be: headers have no limit in Twisted's client."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def connect(self, factory: Any) -> Any:
        """Connect."""
        return self._endpoint.connect(factory).addCallback(_bounded)


def _bounded(protocol: Any) -> Any:
    came, read = 0, protocol.dataReceived

    def received(data: bytes) -> None:
        nonlocal came
        came += len(data)
        if came > 2 * MAX_ANSWER_BYTES:
            protocol.transport.abortConnection()
        else:
            read(data)

    protocol.dataReceived = received
    return protocol


def _sentence(error: BaseException) -> str:
    reasons: list[Any] = getattr(error, "reasons", [])
    inner = reasons[0].value if reasons else error
    if isinstance(inner, TlsError) and inner.args and isinstance(inner.args[0], list):
        return f"TLS failed: {', '.join(str(one[-1]) for one in inner.args[0])}"[:300]
    return f"it cannot be reached: {inner or type(inner).__name__}"[:300]
