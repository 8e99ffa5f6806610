"""A private CA, and the certificates that it issues.

Everything of the CA follows from its key, signature aside: whoever has the key makes the same CA again, with nothing
to keep or to copy. Clients pin the SHA-256 of its public key (as `kubeadm join --discovery-token-ca-cert-hash` does),
so the CA's certificate has no end of its own (RFC 5280 4.1.2.5): it ends with the key.
"""

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (FIPS 186-5)."""
FROM: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
NO_END: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
VALID: Final = dt.timedelta(days=90)
SKEW: Final = dt.timedelta(hours=1)
"""By how much the clock of a client may be behind ours."""
_HASH: Final = hashes.SHA256()


class Authority:
    """Issues certificates for servers. `secret`: 64 bytes or more from which the key is made (FIPS 186-5 A.2.1)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 64:  # noqa: PLR2004 (twice the length of the order, so that the remainder is even)
            raise ValueError("64 bytes are needed for a key of P-256")
        number = int.from_bytes(secret, "big") % (ORDER - 1) + 1
        self._key = ec.derive_private_key(number, ec.SECP256R1())
        self.pin = pin_of(self._key.public_key())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Deployer CA {self.pin[:16]}")])
        self.certificate = self._own()
        self.pem = self.certificate.public_bytes(Encoding.PEM)

    def issue(self, names: Sequence[str], now: dt.datetime) -> bytes:
        """A new key and its certificate for these host names and addresses, and our own certificate; all as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Deployer master")])
        built = self._begun(subject, key.public_key(), now - SKEW, now + VALID)
        built = built.serial_number(x509.random_serial_number())
        alternatives = x509.SubjectAlternativeName(general_names(names))
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (alternatives, False),
        ):
            built = built.add_extension(extension, critical)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private + built.sign(self._key, _HASH).public_bytes(Encoding.PEM) + self.pem

    def has_issued(self, certificate: x509.Certificate) -> bool:
        """Whether this certificate is one of ours."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except Exception:  # noqa: BLE001 (the library names four kinds: whichever it is, it is not ours)
            return False
        return True

    def _own(self) -> x509.Certificate:
        built = self._begun(self.name, self._key.public_key(), FROM, NO_END)
        built = built.serial_number(int(self.pin[:30], 16) or 1)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        return built.add_extension(_usage(signs_certificates=True), True).sign(self._key, _HASH)

    def _begun(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, begin: dt.datetime, end: dt.datetime
    ) -> x509.CertificateBuilder:
        own = self._key.public_key()
        return (
            x509.CertificateBuilder(self.name, subject, public)
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
        )


def pin_of(public: ec.EllipticCurvePublicKey) -> str:
    """By what a CA is known: the SHA-256 of its public key (SubjectPublicKeyInfo, DER), in hex."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """Addresses and host names, in the form of a certificate."""
    return [_general(name) for name in names]


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
