"""Certificates as tests need them, also wrong ones; made anew each time."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
LOCALHOST = x509.DNSName("localhost")


class Issuer:
    """A CA; its `pem` is what others trust."""

    def __init__(self, name: str = "test CA") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = _builder(self.name, self.name, self.key, (-DAY, 10 * DAY))
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        built = built.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        self.certificate = built.sign(self.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        names: Sequence[x509.GeneralName] = (LOCALHOST,),
        use: Any = SERVER,
        time: tuple[dt.timedelta, dt.timedelta] = (-DAY, DAY),
        subject: str = "somebody",
    ) -> bytes:
        """Key and certificate in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]), self.name, key, time)
        built = built.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if names:
            built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return private(key) + built.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def self_signed(names: Sequence[x509.GeneralName] = (LOCALHOST,), use: Any = SERVER) -> bytes:
    """Key and certificate in PEM that nobody else vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    built = _builder(name, name, key, (-DAY, DAY)).add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return private(key) + built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def kept(path: Path, pem: bytes) -> Path:
    """A file with mode 0600."""
    path.touch(mode=0o600)
    path.write_bytes(pem)
    return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, time: tuple[dt.timedelta, dt.timedelta]
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    built = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    return built.not_valid_before(now + time[0]).not_valid_after(now + time[1])
