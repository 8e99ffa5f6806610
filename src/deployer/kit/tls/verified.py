"""Connections to a server whose certificate is verified: by whom it was signed, and for which name or address.

Twisted's own `optionsForClientTLS` is not used: a certificate whose names cannot be read makes service-identity raise
an error that Twisted 26.10 logs, and then it goes on as if the name had been right. Here whatever is not verified is
refused.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure
from zope.interface import implementer

from deployer.kit.tls.context import CIPHERS

NOT_ITS_NAME: Final = (VerificationError, CertificateError)
_MUST: Final = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT


def client_context(roots: Sequence[x509.Certificate] | None) -> SSL.Context:
    """TLS 1.2 or newer, ciphers with authentication and forward secrecy; these roots, or those of the system."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION)
    context.set_cipher_list(CIPHERS)
    context.set_verify(_MUST)
    store = context.get_cert_store()
    if roots is None or store is None:
        context.set_default_verify_paths()
    else:
        for root in roots:
            store.add_cert(X509.from_cryptography(root))
    return context


@implementer(IOpenSSLClientConnectionCreator)
class Verified:
    """Makes connections to one host, and ends those whose certificate is not for its name or address."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host
        self._is_address = _is_address(host)

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802 (Twisted's name)
        """One connection, before its handshake."""
        connection = SSL.Connection(self._context, None)
        if not self._is_address:
            connection.set_tlsext_host_name(self._host.encode("idna"))

        def look(_: SSL.Connection, certificate: X509, __: int, depth: int, ok: int) -> bool:
            if depth or not ok:
                return bool(ok)
            try:
                self._verify(certificate.to_cryptography())
            except Exception:  # noqa: BLE001 (an exception would be lost in OpenSSL: whatever it is, it is a no)
                protocol.failVerification(Failure())
                return False
            return True

        connection.set_verify(_MUST, look)
        return connection

    def _verify(self, certificate: x509.Certificate) -> None:
        if self._is_address:
            verify_certificate_ip_address(certificate, self._host)
        else:
            verify_certificate_hostname(certificate, self._host.encode("idna").decode("ascii"))


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
