"""The site: a resource tree behind connections that are limited in number, time and size.

A resource that has accepted a token calls `request.channel.authenticated()`; one that hands the connection to another
protocol (a websocket) calls `request.channel.detach()`. There is no access log, so no token can be in it.
"""

from io import BytesIO
from typing import IO

from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from deployer.kit.clock import Clock
from deployer.kit.http.channel import _HSTS_LINE, DEFAULT_HEADERS, HSTS, HardenedChannel
from deployer.kit.http.connections import Connections
from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.refusals import Refusals
from deployer.kit.http.request import HardenedRequest


class HardenedSite(Site):
    """What an endpoint listens with."""

    protocol = HardenedChannel  # type: ignore[assignment]  # Twisted's choice among HTTP/1.1 and 2 is not needed

    def __init__(self, resource: IResource | Resource, limits: HttpLimits, clock: Clock) -> None:
        Site.__init__(
            self,
            resource,
            requestFactory=HardenedRequest,
            parsePOSTFormSubmission=False,
            timeout=None,
            reactor=clock,
        )
        self.limits = limits
        self.clock = clock
        self.connections = Connections(limits.max_connections_per_address, clock)
        self.refusals = Refusals(clock)
        self.draining = False

    def drain(self) -> None:
        """Every answer from now on is the last of its connection, and idle connections are closed."""
        self.draining = True
        self.connections.drain()

    def startFactory(self) -> None:
        """Open no access log."""

    def stopFactory(self) -> None:
        """There is no access log to close."""

    def log(self, request: Request) -> None:
        """Write no access log."""

    def getContentFile(self, length: int | None) -> IO[bytes]:  # noqa: ARG002 (Twisted would make a large one a file)
        """Where a body goes: memory, since it is limited."""
        return BytesIO()

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 only: the limits are those of one request after another."""
        return [b"http/1.1"]

    def default_headers(self, *, secure: bool) -> dict[bytes, bytes]:
        """The header lines of every answer, by name, to take out what the resource has set."""
        return {**DEFAULT_HEADERS, HSTS: _HSTS_LINE} if secure else DEFAULT_HEADERS.copy()
