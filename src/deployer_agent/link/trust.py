"""Whose certificate is believed to be the master's, and which one the agent shows itself."""

from pathlib import Path
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL
from twisted.logger import Logger
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from deployer.kit.clock import Clock
from deployer.kit.files import TooOpen, read_private
from deployer.kit.tls.context import WrongCertificateError, read_pair
from deployer.kit.tls.verified import Verified, client_context
from deployer_agent.errors import LinkError, StartError

FRESH_S: Final = 60.0
MOST_NAMES: Final = 100


class Trust:
    """The CA of the given file or the installation's own (PEM), else the system's roots; and the agent's certificate.

    StartError for files that cannot be used.
    """

    def __init__(self, ca_file: str | None, pinned: str | None, certificate: str = "", key: str = "") -> None:
        self._files = (certificate, key or certificate)
        self._roots = _roots(ca_file, pinned)
        self.context()

    def context(self) -> SSL.Context:
        """What connections are made with: TLS 1.2 or newer, ciphers with authentication and forward secrecy."""
        context = client_context(self._roots)
        self._show(context)
        return context

    def _show(self, context: SSL.Context) -> None:
        """What the agent shows to a master that asks for a certificate."""
        certificate, key = self._files
        if not certificate:
            return
        try:
            pem = read_private(Path(key))
            pair: Any = read_pair(pem if key == certificate else pem + b"\n" + Path(certificate).read_bytes())
        except (TooOpen, OSError, WrongCertificateError) as error:
            raise StartError(f"the agent's certificate {certificate} cannot be used: {error}") from None
        context.use_certificate(pair[1][0])
        context.use_privatekey(pair[0])
        for one in pair[1][1:]:
            context.add_extra_chain_cert(one)


def _roots(ca_file: str | None, pinned: str | None) -> list[x509.Certificate] | None:
    try:
        pem = Path(ca_file).read_bytes() if ca_file is not None else (pinned or "").encode()
        return x509.load_pem_x509_certificates(pem) if pem or ca_file is not None else None
    except (OSError, ValueError) as error:
        raise StartError(f"the CA {ca_file or 'of the installation'} cannot be read: {error}") from None


@implementer(IPolicyForHTTPS)
class Policy:
    """What twisted.web asks for each request; made anew once a minute, for whatever renews the agent's certificate."""

    log = Logger()

    def __init__(self, trust: Trust, clock: Clock) -> None:
        self._trust = trust
        self._clock = clock
        self._made: dict[bytes, tuple[float, Verified]] = {}

    def creatorForNetloc(self, hostname: bytes, port: int) -> Verified:  # noqa: ARG002, N802 (Twisted's names)
        """How to connect to a host."""
        now = self._clock.seconds()
        until, made = self._made.get(hostname, (now, None))
        if made is None or until <= now:
            if len(self._made) >= MOST_NAMES:
                self._made.clear()
            made = self._renewed(hostname, made)
            self._made[hostname] = (now + FRESH_S, made)
        return made

    def _renewed(self, hostname: bytes, before: Verified | None) -> Verified:
        try:
            return Verified(self._trust.context(), hostname.decode("ascii").strip("[]"))
        except StartError as error:  # the files are being exchanged, or are wrong since
            if before is None:
                raise LinkError(str(error)) from None
            self.log.warn("{error}; the earlier one is shown", error=str(error))
            return before
