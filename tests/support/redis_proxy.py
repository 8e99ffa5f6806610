"""A Redis that fails on demand: a proxy in the test's reactor before the real one."""

import struct
from collections.abc import Callable
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import hiredis
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

Answer = Callable[["Client", list[bytes]], None]
"""What is done with a command instead of passing it on."""


class RedisProxy:
    """Listens on a loopback port. `trouble` None: all is passed on. Counts `connections`."""

    def __init__(self, reactor: Any, real: Path) -> None:
        self.reactor = reactor
        self.real = real
        self.trouble: Answer | None = None
        self.connections = 0
        self.clients: set[Client] = set()
        factory = Factory.forProtocol(lambda: Client(self))
        self._port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.endpoint = f"tcp:127.0.0.1:{self._port.getHost().port}"

    async def stop(self) -> None:
        """Close all."""
        await self._port.stopListening()
        self.cut()

    def cut(self) -> None:
        """Reset all connections that there are."""
        for client in list(self.clients):
            client.transport.abortConnection()

    def freeze(self) -> None:
        """Let nothing through any more on the connections that there are; new ones work."""
        for client in self.clients:
            client.frozen = True


class Client(Protocol):
    """One connection to us, with its own to the real one."""

    transport: Any

    def __init__(self, proxy: RedisProxy) -> None:
        self._proxy = proxy
        self._reader = hiredis.Reader()
        self._real: Any = None
        self._early: list[bytes] = []
        self.frozen = False

    def connectionMade(self) -> None:
        self._proxy.connections += 1
        self._proxy.clients.add(self)
        endpoint = UNIXClientEndpoint(self._proxy.reactor, str(self._proxy.real))
        connected = endpoint.connect(Factory.forProtocol(lambda: _Real(self)))
        connected.addCallbacks(self._have_real, lambda _: self.transport.abortConnection())

    def dataReceived(self, data: bytes) -> None:
        trouble = silence if self.frozen else self._proxy.trouble
        if trouble is None:
            self._pass_on(data)
            return
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            trouble(self, command)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._proxy.clients.discard(self)
        if self._real is not None:
            self._real.transport.abortConnection()

    def _have_real(self, real: Any) -> None:
        self._real = real
        for data in self._early:
            real.transport.write(data)
        if self not in self._proxy.clients:
            real.transport.abortConnection()

    def _pass_on(self, data: bytes) -> None:
        if self._real is None:
            self._early.append(data)
        else:
            self._real.transport.write(data)


class _Real(Protocol):
    """The way back."""

    transport: Any

    def __init__(self, client: Client) -> None:
        self._client = client

    def dataReceived(self, data: bytes) -> None:
        if not self._client.frozen:
            self._client.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._client.transport.abortConnection()


def error(text: str) -> Answer:
    """Answer every command with an error."""
    return lambda client, _: client.transport.write(f"-{text}\r\n".encode())


def silence(client: Client, command: list[bytes]) -> None:
    """Answer nothing."""


def half_a_reply(client: Client, command: list[bytes]) -> None:
    """Begin an answer."""
    client.transport.write(b"*2\r\n$5\r\nab")


def garbage(client: Client, command: list[bytes]) -> None:
    """Answer what is no answer."""
    client.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def reset_in_mid_reply(client: Client, command: list[bytes]) -> None:
    """Begin an answer and reset the connection."""
    client.transport.write(b"$5\r\nab")
    client.transport.getHandle().setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    client.transport.abortConnection()


def pong(client: Client, command: list[bytes]) -> None:
    """Answer any command as if it were PING."""
    client.transport.write(b"+PONG\r\n")


def close(client: Client, command: list[bytes]) -> None:
    """Close instead of answering."""
    client.transport.loseConnection()
