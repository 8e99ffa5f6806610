"""The hardened site behind TLS, over a real socket."""

import datetime as dt
import json
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet import endpoints, threads

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.site import HardenedSite
from support.http import Recorder, parts

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted 26.10 does that

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of `localhost` in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    signed = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    path = tmp_path / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + signed.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return path


def exchange(port: int, certificate: Path, data: bytes) -> bytes:
    trust = ssl.create_default_context(cafile=certificate)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(data)
        answer = b""
        while part := client.recv(65536):
            answer += part
        return answer


async def over_tls(certificate: Path, data: bytes) -> bytes:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real one)

    site = HardenedSite(Recorder(), HttpLimits(), reactor)  # type: ignore[arg-type]  # the module stands for the object
    text = f"ssl:0:interface=127.0.0.1:privateKey={certificate}:certKey={certificate}"
    port = await endpoints.serverFromString(reactor, text).listen(site)
    try:
        return await threads.deferToThread(exchange, port.getHost().port, certificate, data)
    finally:
        await port.stopListening()


async def test_answers_over_tls_tell_browsers_to_stay_there(certificate: Path) -> None:
    status, headers, _ = parts(await over_tls(certificate, HEAD + b"Content-Length: 2\r\n\r\nhi"))
    assert status == 200
    assert headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_a_refused_body_still_gets_its_answer_over_tls(certificate: Path) -> None:
    answer = await over_tls(certificate, HEAD + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
    assert json.loads(parts(answer)[2])["status"] == 413
