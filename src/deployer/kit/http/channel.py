"""One connection: twisted.web's HTTPChannel with deadlines, limits and refusals that say why.

Twisted's own timeout starts anew at every byte, its bodies have no limit, a refused request gets an empty 400, and
a double Host passes. Here a connection always has at most one deadline and what follows it; `refuse()` answers, stops
parsing and closes so that the client can still read the answer.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.http_headers import Headers

from deployer.kit.http import guard
from deployer.kit.http.problems import CONTENT_TYPE, REQUEST_ID, Refusal, problem_body, request_id

if TYPE_CHECKING:
    from deployer.kit.http.site import HardenedSite

MAX_QUEUED_BYTES: Final = 16 * 1024

DEFAULT_HEADERS: Final = {
    name: name + b": " + value + b"\r\n"
    for name, value in {
        b"X-Content-Type-Options": b"nosniff",
        b"Referrer-Policy": b"no-referrer",
        b"Content-Security-Policy": b"default-src 'none'; frame-ancestors 'none'",
        b"Cache-Control": b"no-store",
    }.items()
}
"""What every answer has unless its resource said otherwise (RELIABILITY D10)."""

HSTS: Final = b"Strict-Transport-Security"
_HSTS_LINE: Final = HSTS + b": max-age=31536000\r\n"


class HardenedChannel(HTTPChannel):
    """The parser of one connection and its deadlines."""

    site: "HardenedSite"
    transport: Any  # Twisted's types know no single interface that has all it calls
    _path: Any  # the untyped base class lets mypy guess wrongly

    def __init__(self) -> None:
        HTTPChannel.__init__(self)
        self.address = ""
        self.deadline: float | None = None
        self._when_late: Callable[[], None] = self._abort
        self._secure = False
        self._refused = False
        self._idle = False
        self._lines = 0
        self._head_bytes = 0
        self._body_from = 0.0
        self._body_bytes = 0
        self._max_body = 0
        self._queued = 0
        self._queued_bytes = 0

    def connectionMade(self) -> None:
        """Take the connection in, or refuse it when its address has too many."""
        self.limits = self.site.limits
        self.totalHeadersSize = self.MAX_LENGTH = self.limits.max_headers + self.limits.max_url
        self.maxHeaders = self.limits.max_header_count
        HTTPChannel.connectionMade(self)
        self._secure = HTTPChannel.isSecure(self)
        self.address = getattr(self.transport.getPeer(), "host", "local")
        if self.site.connections.opened(self) or self.limits.is_proxy(self.address):
            self._expect(self.limits.header_s, self._head_late)
        else:
            self.refuse(guard.CROWDED)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted's gives it a default
        """Forget the connection."""
        self.detach()
        HTTPChannel.connectionLost(self, reason)

    def authenticated(self) -> None:
        """A token was accepted: the connection counts no longer against its address."""
        self.site.connections.authenticated(self)

    def detach(self) -> None:
        """Another protocol has this connection from now on (a websocket), or it is gone."""
        self.deadline = None
        self.site.connections.closed(self)

    def late(self) -> None:
        """The deadline has passed."""
        self.deadline = None
        self._when_late()

    def drain(self) -> None:
        """Answer what is under way, and nothing more. A request that is still coming is answered too."""
        if self._handlingRequest:
            self.persistent = 0
        elif self._idle and not self._buffer:
            self._close_slowly()

    def refuse(self, refusal: Refusal) -> None:
        """Answer, read no further request and close."""
        if self._refused:
            return
        self._refused = True
        self.site.refusals.add(refusal, self.address)
        HTTPChannel.clearLineBuffer(self)
        self._dataBuffer = []
        self._answer(refusal)
        self._close_slowly()

    def dataReceived(self, data: bytes) -> None:
        """Parse, unless the connection is already refused."""
        if self._refused:
            return
        if self._idle:
            self._idle = False
            self._expect(self.limits.header_s, self._head_late)
        HTTPChannel.dataReceived(self, data)
        if self._buffer and not self._busyReceiving and self.line_mode and not self.transport.disconnecting:
            self._check_rest()

    def lineReceived(self, line: bytes) -> None:
        """Check a line of the head before Twisted sees it."""
        if self._refused:
            return
        refusal = self._check_line(line)
        if refusal is not None:
            self.refuse(refusal)
            return
        HTTPChannel.lineReceived(self, line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer a line that is longer than all limits."""
        self.refuse(guard.BIG_HEADERS if self._lines else guard.LONG_URL if b" " in line else guard.MALFORMED)

    def rawDataReceived(self, data: bytes) -> None:
        """Take a part of a body, or hold pipelined requests until the present one is answered."""
        if self._handlingRequest and not self._refused:
            self._hold(data)
        elif not self._refused:
            HTTPChannel.rawDataReceived(self, data)

    def allHeadersReceived(self) -> None:
        """Check what the headers say together, and the length of the body before a byte of it is read."""
        if self._refused:
            return
        request = self.requests[-1]
        refusal = self._check_head(request)
        if refusal is not None:
            self.refuse(refusal)
            return
        HTTPChannel.allHeadersReceived(self)
        if self.site.draining:
            self.persistent = 0
        if self.length != 0:
            self._body_bytes = 0
            self._body_from = self.site.clock.seconds()
            self._when_late = self._body_late
            self._grant_body_time()

    def take(self, size: int) -> bool:
        """Count a part of the body; False when it is not to be kept."""
        if self._refused:
            return False
        self._body_bytes += size
        if self._body_bytes > self._max_body:
            self.refuse(guard.BIG_BODY)
            return False
        self._grant_body_time()
        return True

    def allContentReceived(self) -> None:
        """Hand the request on; its handler has the time it needs."""
        if self._refused:
            return
        self.deadline = None
        self._lines = 0
        self._head_bytes = 0
        HTTPChannel.allContentReceived(self)

    def requestDone(self, request: Request) -> None:
        """Wait for the next request, or take up one that is already here."""
        self._queued = 0
        self._queued_bytes = 0
        self._idle = True
        self._expect(self.limits.idle_s, self._close_slowly)
        HTTPChannel.requestDone(self, request)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Write the head of an answer with the headers that every answer has, and no name of the server."""
        lines = [version, b" ", code, b" ", reason, b"\r\n"]
        missing = self.site.default_headers(secure=self._secure)
        for name, values in headers.getAllRawHeaders():
            missing.pop(name, None)
            if name != b"Server":
                for value in values:
                    lines += (name, b": ", value, b"\r\n")
        lines += missing.values()
        if self.site.draining and not headers.hasHeader(b"connection"):
            lines.append(b"Connection: close\r\n")
        lines.append(b"\r\n")
        self.transport.writeSequence(lines)

    def _expect(self, seconds: float, when_late: Callable[[], None]) -> None:
        self.deadline = self.site.clock.seconds() + seconds
        self._when_late = when_late

    def _grant_body_time(self) -> None:
        self.deadline = self._body_from + self.limits.body_time(self._body_bytes)

    def _head_late(self) -> None:
        if self._lines or self._buffer:
            self.refuse(guard.LATE_HEAD)
        else:
            self._close_slowly()

    def _body_late(self) -> None:
        self.refuse(guard.LATE_BODY)

    def _check_rest(self) -> None:
        """The rest of the buffer has no CR LF: what lines it has end otherwise, and it may already be too long."""
        if b"\n" in self._buffer:
            self.refuse(guard.BARE_LF)
        elif self._lines and self._head_bytes + len(self._buffer) > self.limits.max_headers:
            self.refuse(guard.BIG_HEADERS)

    def _check_line(self, line: bytes) -> Refusal | None:
        if self._lines == 0:
            if not line:
                return None  # Twisted skips one empty line and refuses a second
            self._lines = 1
            return guard.check_request_line(line, self.limits)
        self._lines += 1
        self._head_bytes += len(line) + 2
        if self._head_bytes > self.limits.max_headers or self._lines > self.limits.max_header_count + 2:
            return guard.BIG_HEADERS
        return guard.check_header_line(line)

    def _check_head(self, request: Request) -> Refusal | None:
        refusal = guard.check_headers(self._version, request.requestHeaders, self.limits)
        if refusal is not None:
            return refusal
        path = guard.path_of(self._command, self._path, request.requestHeaders)
        if path is None:
            return guard.BAD_TARGET
        self._path = path
        self._max_body = self.limits.max_body(path.partition(b"?")[0])
        return guard.BIG_BODY if self.length is not None and self.length > self._max_body else None

    def _hold(self, data: bytes) -> None:
        self._dataBuffer.append(data)
        self._queued += data.count(b"\r\n\r\n")
        self._queued_bytes += len(data)
        full = self._queued >= self.limits.max_pipelined or self._queued_bytes > MAX_QUEUED_BYTES
        producer: Any = self._networkProducer
        if full and not self._waitingForTransport:
            producer.pauseProducing()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 (Twisted calls it for all it refuses)
        self.refuse(guard.MALFORMED)

    def _answer(self, refusal: Refusal) -> None:
        given = self.requests[-1].requestHeaders.getRawHeaders(REQUEST_ID) if self.requests else None
        identity = request_id(given[0] if given else None)
        body = problem_body(refusal, identity)
        headers = Headers({b"Content-Type": [CONTENT_TYPE], b"Connection": [b"close"], REQUEST_ID: [identity]})
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        if refusal.allow:
            headers.setRawHeaders(b"Allow", [refusal.allow])
        self.writeHeaders(b"HTTP/1.1", b"%d" % refusal.status, refusal.title.encode("ascii"), headers)
        self.transport.write(body)

    def _close_slowly(self) -> None:
        """Close so that the answer arrives: closing with unread input would reset the connection under it."""
        self._refused = True
        self._expect(self.limits.linger_s, self._abort)
        if ITCPTransport.providedBy(self.transport) and not self._secure:
            self._networkProducer.unregisterProducer()
            self.transport.loseWriteConnection()
        else:
            HTTPChannel.loseConnection(self)

    def _abort(self) -> None:
        self.transport.abortConnection()


def mark_authenticated(request: Request) -> None:
    """A request's token was accepted: its connection counts no longer against its address."""
    channel = request.channel
    if isinstance(channel, HardenedChannel):  # else the client has left meanwhile
        channel.authenticated()
