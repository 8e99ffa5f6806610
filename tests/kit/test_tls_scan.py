"""What a listener with our TLS agrees to, tried by a client that would agree to more (RELIABILITY A5 and A3)."""

import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from OpenSSL import SSL
from twisted.internet import threads
from twisted.internet.endpoints import serverFromString
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.http import Request
from twisted.web.resource import Resource

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.site import HardenedSite
from deployer.kit.tls.context import ServerCreator, server_context
from deployer.kit.tls.served import Reasons
from support.certificates import CLIENT, DAY, SERVER, Issuer, kept, self_signed

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Whoever(Resource):
    """Answers with the certificate's subject, or `nobody`."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        shown = request.channel.transport.getPeerCertificate()  # type: ignore[union-attr]  # it is open
        return b"nobody" if shown is None else shown.to_cryptography().subject.rfc4514_string().encode()


class Listener:
    """Our TLS on a port; `pem` can be exchanged while it runs."""

    def __init__(self, reactor: Any) -> None:
        self.issuer, self.agents = Issuer(), Issuer("CA of agents")
        self.reasons = Reasons()
        self.asks = False
        self.serve(self.issuer.issue())
        self._reactor = reactor
        self._port: Any = None

    def serve(self, pem: bytes) -> None:
        clients = [self.agents.certificate] if self.asks else []
        self.context = server_context(pem, clients, self.reasons.tell)

    async def open(self) -> None:
        site: Any = HardenedSite(Whoever(), HttpLimits(), self._reactor)
        creator: Any = ServerCreator(lambda: self.context)
        factory = TLSMemoryBIOFactory(creator, False, site, self._reactor)
        self._port = await serverFromString(self._reactor, "tcp:0:interface=127.0.0.1").listen(factory)

    async def close(self) -> None:
        await self._port.stopListening()

    async def ask(self, context: ssl.SSLContext, look: Callable[[ssl.SSLSocket], Any] = lambda _: None) -> Any:
        """The answer's body, and what `look` says after the handshake."""
        return await threads.deferToThread(exchange, self._port.getHost().port, context, look)


def exchange(port: int, context: ssl.SSLContext, look: Callable[[ssl.SSLSocket], Any]) -> tuple[bytes, Any]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(GET)
        answer = b""
        while part := client.recv(65536):
            answer += part
        return answer.rpartition(b"\r\n\r\n")[2], look(client)


@pytest_twisted.async_yield_fixture
async def listener() -> AsyncIterator[Listener]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real one)

    made = Listener(reactor)
    await made.open()
    yield made
    await made.close()


def trusting(listener: Listener) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=listener.issuer.pem.decode())


def lax() -> ssl.SSLContext:
    """A client that would speak anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_newer_are_spoken_without_compression(listener: Listener, version: ssl.TLSVersion) -> None:
    context = trusting(listener)
    context.minimum_version = context.maximum_version = version
    body, seen = await listener.ask(context, lambda one: (one.version(), one.compression(), one.cipher()))
    assert body == b"nobody"
    assert seen[0] == version.name.replace("_", ".")
    assert seen[1] is None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # that is the question
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_older_versions_are_not_spoken(listener: Listener, version: ssl.TLSVersion) -> None:
    context = lax()
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await listener.ask(context)


async def test_only_ciphers_with_authentication_and_forward_secrecy_are_agreed_to(listener: Listener) -> None:
    names = [one["name"] for one in lax().get_ciphers() if one["protocol"] != "TLSv1.3"]
    agreed = set()
    for name in names:
        context = lax()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{name}:@SECLEVEL=0")
        try:
            agreed.add((await listener.ask(context, lambda one: one.cipher()))[1][0])
        except (ssl.SSLError, ConnectionError):
            continue
    assert len(names) > 20
    assert agreed
    assert all(one.startswith("ECDHE-ECDSA-") and ("GCM" in one or "POLY1305" in one) for one in agreed), agreed


async def test_no_session_is_resumed(listener: Listener) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(listener)
        context.maximum_version = version
        _, first = await listener.ask(context, lambda one: one.session)
        assert first is None or not first.has_ticket or version is ssl.TLSVersion.TLSv1_3

        def again(port: int, context: ssl.SSLContext = context, first: Any = first) -> bool | None:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=first) as client,
            ):
                return client.session_reused

        assert not await threads.deferToThread(again, listener._port.getHost().port)


async def test_a_client_cannot_renegotiate(listener: Listener) -> None:
    def renegotiate(port: int) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            plain.setblocking(True)
            client = SSL.Connection(context, plain)
            client.set_connect_state()
            client.do_handshake()
            assert client.renegotiate()
            client.do_handshake()
            client.send(GET)
            client.recv(1000)

    with pytest.raises(SSL.Error):
        await threads.deferToThread(renegotiate, listener._port.getHost().port)


async def test_only_http_1_1_is_negotiated(listener: Listener) -> None:
    context = trusting(listener)
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, chosen = await listener.ask(context, lambda one: one.selected_alpn_protocol())
    assert chosen == "http/1.1"
    context.set_alpn_protocols(["h2"])
    assert await listener.ask(context, lambda one: one.selected_alpn_protocol()) == (b"nobody", None)


async def test_a_new_certificate_serves_the_next_connection(listener: Listener) -> None:
    first = (await listener.ask(trusting(listener), lambda one: one.getpeercert(True)))[1]
    listener.serve(listener.issuer.issue())
    assert (await listener.ask(trusting(listener), lambda one: one.getpeercert(True)))[1] != first


def shows(listener: Listener, folder: Path, pem: bytes) -> ssl.SSLContext:
    context = trusting(listener)
    context.load_cert_chain(kept(folder / "client.pem", pem))
    return context


async def test_a_client_with_a_certificate_is_known_and_one_without_is_served(
    listener: Listener, tmp_path: Path
) -> None:
    listener.asks = True
    listener.serve(listener.issuer.issue())
    mine = shows(listener, tmp_path, listener.agents.issue((), CLIENT, subject="agent 7"))
    assert (await listener.ask(mine))[0] == b"CN=agent 7"
    assert (await listener.ask(trusting(listener)))[0] == b"nobody"
    assert listener.reasons.count == 0


LONG_AGO: tuple[dt.timedelta, dt.timedelta] = (-3 * DAY, -DAY)
SOON: tuple[dt.timedelta, dt.timedelta] = (DAY, 3 * DAY)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (lambda _: self_signed(use=CLIENT), "signed by itself"),
        (lambda _: Issuer("CA of agents").issue((), CLIENT), "."),
        (lambda _: Issuer("another CA").issue((), CLIENT), "unknown CA"),
        (lambda its: its.issuer.issue((), CLIENT), "unknown CA"),
        (lambda its: its.agents.issue((), CLIENT, LONG_AGO), "expired"),
        (lambda its: its.agents.issue((), CLIENT, SOON), "not valid yet"),
        (lambda its: its.agents.issue((x509.DNSName("localhost"),), SERVER), "not for clients"),
    ],
    ids=["self-signed", "the CA's name", "another CA", "the server's CA", "expired", "not yet valid", "for servers"],
)
async def test_a_wrong_client_certificate_ends_the_handshake_and_the_log_says_why(
    listener: Listener, tmp_path: Path, pem: Callable[[Listener], bytes], reason: str
) -> None:
    listener.asks = True
    listener.serve(listener.issuer.issue())
    told: list[str] = []
    listener.reasons.log = _Log(told)  # type: ignore[misc, assignment]  # the smallest logger
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = shows(listener, tmp_path, pem(listener))
        context.maximum_version = version
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await listener.ask(context)
    assert len(told) >= 1
    assert reason in told[0] or reason == "."
    assert listener.reasons.count >= 2


class _Log:
    def __init__(self, told: list[str]) -> None:
        self._told = told

    def warn(self, text: str, **fields: object) -> None:
        self._told.append(text.format(**fields))
