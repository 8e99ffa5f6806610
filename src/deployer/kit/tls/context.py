"""What a server offers over TLS: 1.2 and newer, ciphers with authentication and forward secrecy, nothing resumed."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; all of 1.3 are of this kind."""
OPTIONS: Final = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
HTTP: Final = b"http/1.1"
Refused = Callable[[SSL.Connection, int], None]
"""Told of a client's certificate that is not taken, with OpenSSL's number of the reason."""
ServerKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class WrongCertificateError(Exception):
    """A key or certificate that cannot be served with."""


def server_context(
    pem: bytes, clients: Sequence[x509.Certificate] = (), refused: Refused = lambda *_: None
) -> SSL.Context:
    """A context for a key and its certificates, its own first, in PEM.

    With `clients`, a client is asked for a certificate of these CAs; one that has none is served, and told apart by
    `getPeerCertificate`; a wrong one ends the handshake.
    """
    key, chain = read_pair(pem)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(OPTIONS)
    context.set_cipher_list(CIPHERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"deployer")
    context.set_alpn_select_callback(_choose)
    context.use_certificate(chain[0])
    context.use_privatekey(key)
    for certificate in chain[1:]:
        context.add_extra_chain_cert(certificate)
    if clients:
        _ask(context, clients, refused)
    return context


def read_pair(pem: bytes) -> tuple[ServerKey, list[x509.Certificate]]:
    """Read a key and its certificates; WrongCertificateError when they are none, or do not belong together."""
    try:
        key = load_pem_private_key(pem, password=None)
        chain = x509.load_pem_x509_certificates(pem)
    except (ValueError, TypeError) as error:
        raise WrongCertificateError(f"no key and certificate in PEM: {error}") from None
    if not isinstance(key, ServerKey):
        raise WrongCertificateError("a key of another kind than EC, RSA and Ed25519")
    if key.public_key() != chain[0].public_key():
        raise WrongCertificateError("the first certificate is not that of the key")
    return key, chain


@implementer(IOpenSSLServerConnectionCreator)
class ServerCreator:
    """Makes each connection with the context of its time, so that a new certificate is served without a restart."""

    def __init__(self, context: Callable[[], SSL.Context]) -> None:
        self._context = context

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: ARG002, N802 (Twisted's names)
        """One connection, before its handshake."""
        return SSL.Connection(self._context(), None)


def _choose(_: SSL.Connection, offered: list[bytes]) -> Any:
    return HTTP if HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _ask(context: SSL.Context, clients: Sequence[x509.Certificate], refused: Refused) -> None:
    store = context.get_cert_store()
    for certificate in clients:
        if store is not None:
            store.add_cert(_old_form(certificate))
        context.add_client_ca(certificate)

    def look(connection: SSL.Connection, _: object, error: int, __: int, ok: int) -> bool:
        if not ok:
            refused(connection, error)
        return bool(ok)

    context.set_verify(SSL.VERIFY_PEER, look)


def _old_form(certificate: x509.Certificate) -> Any:
    """The store of pyOpenSSL takes its own kind only."""
    from OpenSSL.crypto import X509  # noqa: PLC0415 (the one use)

    return X509.from_cryptography(certificate)
