"""How an agent that has only a fingerprint finds its master's CA, and says nothing until it has.

It connects, looks at the certificates that are shown, sends no byte above TLS, and closes. Among them must be a CA
whose public key has the fingerprint. The next connection trusts this CA alone and verifies chain and name as always, so
it does not matter who answered the first one.
"""

import hashlib
import re
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from deployer_agent.errors import LinkError

CONTACT_S: Final = 20.0
HTTPS: Final = 443
_PIN: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_PINNED_TOKEN: Final = re.compile(r"(dpj_[0-9a-f]{16}_[0-9a-f]{64})_([0-9a-f]{64})", re.ASCII)


def read_pin(text: str) -> str:
    """A fingerprint in hex, `sha256:` in front of it or not; ValueError for what is none."""
    match = _PIN.fullmatch(text)
    if match is None:
        raise ValueError("a fingerprint is sha256: and 64 hexadecimal digits")
    return match[1].lower()


def split_token(text: str) -> tuple[str, str]:
    """A join token and the fingerprint behind it, empty where there is none."""
    match = _PINNED_TOKEN.fullmatch(text)
    return (text, "") if match is None else (match[1], match[2])


async def find_ca(reactor: Any, url: str, pin: str) -> str:
    """The CA (PEM) that the master of this https URL shows; LinkError when it shows none with this fingerprint."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    below: Any = HostnameEndpoint(reactor, host, parts.port or HTTPS)
    creator: Any = _Unverified(host)
    looking, endpoint = _Looking(), wrapClientTLS(creator, below)
    try:
        await endpoint.connect(looking).addTimeout(CONTACT_S, reactor)  # type: ignore[call-arg, misc]  # zope's
        chain = await looking.seen.addTimeout(CONTACT_S, reactor)
    except (ConnectError, ConnectionClosed, DNSLookupError, SSL.Error, DeadlineError) as error:
        raise LinkError(f"the master cannot be reached: {error or type(error).__name__}"[:300]) from error
    finally:
        looking.close()
    for certificate in chain:
        if _pin(certificate) == pin and _is_ca(certificate):
            return str(certificate.public_bytes(Encoding.PEM), "ascii")
    raise LinkError(f"who answers at {url} shows no CA with the fingerprint sha256:{pin}: nothing was sent to it")


def _pin(certificate: x509.Certificate) -> str:
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def _is_ca(certificate: x509.Certificate) -> bool:
    """Whether it vouches for itself, so that nothing in it was changed."""
    try:
        certificate.verify_directly_issued_by(certificate)
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except Exception:  # noqa: BLE001 (many kinds, one meaning)
        return False


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    def __init__(self, host: str) -> None:
        self._host = host
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)

    def clientConnectionForTLS(self, _: Any) -> SSL.Connection:  # noqa: N802 (Twisted's name)
        connection = SSL.Connection(self._context, None)
        if re.search(r"[A-Za-z]", self._host) and ":" not in self._host:
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection


@implementer(IHandshakeListener)
class _Look(Protocol):
    def __init__(self, looking: "_Looking") -> None:
        self._looking = looking
        self.is_open = False

    def connectionMade(self) -> None:
        self.is_open = True

    def handshakeCompleted(self) -> None:  # noqa: N802 (Twisted's name)
        handle: Any = self.transport.getHandle()  # type: ignore[union-attr]  # it is connected
        chain = handle.get_peer_cert_chain(as_cryptography=True) or []
        if not self._looking.seen.called:
            self._looking.seen.callback(chain)

    def connectionLost(self, reason: Failure = Failure(ConnectionClosed())) -> None:  # noqa: B008 (Twisted's)
        self.is_open = False
        if not self._looking.seen.called:
            self._looking.seen.errback(reason)


class _Looking(Factory):
    """Makes the one protocol; `seen` fires with the chain that was shown."""

    noisy = False

    def __init__(self) -> None:
        self.seen: Deferred[list[x509.Certificate]] = Deferred()
        self._look = _Look(self)

    def buildProtocol(self, _: Any) -> Protocol:
        return self._look

    def close(self) -> None:
        if self._look.is_open and self._look.transport is not None:
            self._look.transport.abortConnection()
