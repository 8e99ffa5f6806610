"""Which certificate a listener shows at this time: one of our own CA, or one from an operator's files."""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from OpenSSL import SSL
from twisted.logger import Logger

from deployer.kit.clock import WallClock
from deployer.kit.files import TooOpen, private_dir, read_private, write_private
from deployer.kit.tls.authority import Authority, general_names
from deployer.kit.tls.context import WrongCertificateError, read_pair

CA_FILE: Final = "ca.pem"
SERVER_FILE: Final = "server.pem"
RENEW: Final = dt.timedelta(days=30)
"""A certificate of our own is replaced when less of its time is left."""
Making = Callable[[bytes], SSL.Context]
"""Makes a context of a key and its certificates in PEM."""


class OwnCertificate:
    """A certificate of our CA, kept in a directory and replaced before it ends; `look` is for whoever repeats it."""

    log = Logger()

    def __init__(self, directory: Path, authority: Authority, names: Sequence[str], wall: WallClock) -> None:
        self._directory = private_dir(directory)
        self._authority = authority
        self._names = tuple(dict.fromkeys(names))
        self._wall = wall
        self.pem = b""

    def load(self) -> None:
        """Read what an earlier start made where that still serves, else make another."""
        write_private(self._directory / CA_FILE, self._authority.pem)
        try:
            self.pem = read_private(self._directory / SERVER_FILE)
        except (FileNotFoundError, TooOpen):
            self.pem = b""
        self.look()

    def look(self) -> bool:
        """Make another certificate when this one does not serve for long any more; whether it was made."""
        now = dt.datetime.fromtimestamp(self._wall(), dt.UTC)
        if self._serves(now):
            return False
        self.pem = self._authority.issue(self._names, now)
        try:
            write_private(self._directory / SERVER_FILE, self.pem)
        except OSError as error:  # a full disk: this one is served all the same, and the next start makes another
            self.log.error("the server certificate could not be kept: {error}", error=str(error))  # noqa: TRY400
        self.log.info("a server certificate was made for {names}", names=", ".join(self._names))
        return True

    def _serves(self, now: dt.datetime) -> bool:
        try:
            own = read_pair(self.pem)[1][0]
            names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (WrongCertificateError, x509.ExtensionNotFound):
            return False
        timely = own.not_valid_before_utc <= now < own.not_valid_after_utc - RENEW
        return timely and list(names) == general_names(self._names) and self._authority.has_issued(own)


class FileCertificate:
    """An operator's files: read again when they have changed, as the renewers of public CAs expect."""

    log = Logger()

    def __init__(self, wall: WallClock, key: Path, *chain: Path) -> None:
        self._wall = wall
        self._key = key
        self._chain = chain
        self._seen: tuple[float, ...] = ()
        self.pem = b""

    def load(self) -> None:
        """Read them; WrongCertificateError, TooOpen and OSError tell why they do not serve."""
        self._seen = self._times()
        pem = b"\n".join((read_private(self._key), *(path.read_bytes() for path in self._chain)))
        _, chain = read_pair(pem)
        until = chain[0].not_valid_after_utc
        if until.timestamp() <= self._wall():
            raise WrongCertificateError(f"the certificate has expired on {until:%Y-%m-%d}")
        self.pem = pem

    def look(self) -> bool:
        """Whether they changed and the new ones serve; files that do not are told, and the old ones go on."""
        try:
            if self._times() == self._seen:
                return False
            self.load()
        except (WrongCertificateError, TooOpen, OSError) as error:
            self.log.error("the new certificate is not taken into use: {error}", error=str(error))  # noqa: TRY400
            return False
        self.log.info("the certificate of {key} was read again", key=str(self._key))
        return True

    def _times(self) -> tuple[float, ...]:
        return tuple(path.stat().st_mtime for path in (self._key, *self._chain))


class Shown:
    """The context for new connections, made again when its certificate has changed."""

    def __init__(self, certificate: OwnCertificate | FileCertificate, make: Making) -> None:
        self._certificate = certificate
        self._make = make
        certificate.load()
        self.context = make(certificate.pem)

    async def look(self) -> None:
        """Take a new certificate into use."""
        if self._certificate.look():
            self.context = self._make(self._certificate.pem)


class Reasons:
    """Says why clients' certificates were not taken, at most once a second."""

    log = Logger()

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._told_at = float("-inf")
        self.count = 0

    def tell(self, _: SSL.Connection, error: int) -> None:
        """One more."""
        self.count += 1
        if self._seconds() - self._told_at >= 1.0:
            self._told_at = self._seconds()
            self.log.warn(
                "audit: a client certificate is refused: it {reason} ({count} so far)",
                reason=_REASONS.get(error, f"fails OpenSSL's check {error}"),
                count=self.count,
            )


_REASONS: Final = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself",
    19: "is of an unknown CA",
    20: "is of an unknown CA",
    21: "is of an unknown CA",
    24: "is of what is no CA",
    26: "is not for clients",
    79: "is of what is no CA",
}
"""X509_V_ERR_… of OpenSSL's x509_vfy.h."""
