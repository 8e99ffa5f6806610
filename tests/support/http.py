"""A hardened site in memory: raw bytes in, raw bytes out, and a clock to advance."""

import json
from email.message import Message
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.site import HardenedSite

if TYPE_CHECKING:
    from deployer.kit.http.channel import HardenedChannel


class Abortable(StringTransport):
    """A transport that tells whether it was aborted."""

    aborted = False

    def abortConnection(self) -> None:  # noqa: N802 (Twisted calls it)
        """Remember it."""
        self.aborted = True


class Recorder(Resource):
    """Answers every path and remembers each request that reached it; `hold` leaves them unanswered."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)
        self.seen: list[tuple[bytes, bytes, bytes]] = []
        self.held: list[Request] = []
        self.hold = False
        self.broken = False

    def render(self, request: Request) -> bytes | int:
        """Record and echo."""
        assert request.content is not None
        body = request.content.read()
        self.seen.append((request.method, request.uri, body))
        if self.broken:
            raise ValueError("it broke")
        if self.hold:
            self.held.append(request)
            return NOT_DONE_YET
        return b"path " + request.path


class Wire:
    """One connection to a site of its own or a shared one."""

    def __init__(
        self, limits: HttpLimits | None = None, site: HardenedSite | None = None, host: str = "10.0.0.1"
    ) -> None:
        self.clock = Clock()
        self.resource = Recorder()
        self.site = site or HardenedSite(self.resource, limits or HttpLimits(), self.clock)
        peer: Any = IPv4Address("TCP", host, 5000)
        make: Any = Abortable  # untyped in Twisted
        self.channel: HardenedChannel = Site.buildProtocol(self.site, peer)
        self.transport: Any = make(peerAddress=peer)
        Protocol.makeConnection(self.channel, self.transport)

    def send(self, data: bytes) -> bytes:
        """Send and return what has come back since the last time."""
        self.channel.dataReceived(data)
        return self.read()

    def read(self) -> bytes:
        """What has come back since the last time."""
        answer: bytes = self.transport.value()
        self.transport.clear()
        return answer

    def lose(self) -> None:
        """The client has gone."""
        self.channel.connectionLost(Failure(ConnectionDone()))


def parts(answer: bytes) -> tuple[int, Message, bytes]:
    """Status, headers and the rest of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = Message()  # its names have no case
    for line in lines[1:]:
        headers.add_header(*line.split(": ", 1))
    return int(lines[0].split(" ")[1]), headers, body


def problem(answer: bytes) -> dict[str, Any]:
    """The problem+json of a refusal, checked for the form that every refusal has."""
    status, headers, body = parts(answer)
    assert headers["Content-Type"] == "application/problem+json"
    value: dict[str, Any] = json.loads(body)
    assert value["status"] == status
    assert value["request_id"] == headers["X-Request-ID"]
    assert {"type", "title", "detail"} <= value.keys()
    return value
