"""A master that makes its own CA and certificate, as a real program."""

import ssl
import stat
import urllib.request
from pathlib import Path

from support.certificates import Issuer, kept
from support.programs import Program
from support.wait import until


def port_of(master: Program) -> str | None:
    assert master.process is not None
    assert master.process.poll() is None, master.text()[-3000:]
    found = [line for line in master.text().splitlines() if "the API listens at" in line]
    return found[-1].partition("port=")[2].rstrip(")") if found else None


def livez(port: str, ca: Path) -> int:
    context = ssl.create_default_context(cafile=ca)
    with urllib.request.urlopen(f"https://localhost:{port}/livez", timeout=30, context=context) as answer:
        return int(answer.status)


def test_auto_tls_serves_by_a_ca_that_stays(tmp_path: Path) -> None:
    data = tmp_path / "master"
    options = (f"--data-dir={data}", "--http=tcp:0:interface=127.0.0.1", "--auto-tls")
    pins, texts = [], []
    for number in range(2):
        master = Program("deployer-master", tmp_path / f"{number}.log", *options)
        master.start()
        try:
            port = until(lambda master=master: port_of(master), what="the master to listen")
            assert livez(port, data / "tls" / "ca.pem") == 200
        finally:
            master.stop()
        pins.append(master.text().partition("fingerprint sha256:")[2][:64])
        texts.append(master.text())
    assert pins[0] == pins[1]
    assert (data / "join-token").read_text().strip().endswith(f"_{pins[0]}")
    for name in ("master.key", "tls/server.pem", "tls/ca.pem", "join-token"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    secret = (data / "tls" / "server.pem").read_text().splitlines()[1]
    assert all(secret not in text and "PRIVATE" not in text for text in texts)


def test_an_ssl_endpoint_gets_the_same_rules(tmp_path: Path) -> None:
    issuer = Issuer()
    ca, both = kept(tmp_path / "ca.pem", issuer.pem), kept(tmp_path / "both.pem", issuer.issue())
    options = (f"--data-dir={tmp_path / 'm'}", f"--http=ssl:0:privateKey={both}:certKey={both}:interface=127.0.0.1")
    master = Program("deployer-master", tmp_path / "log", *options)
    master.start()
    try:
        port = until(lambda: port_of(master), what="the master to listen")
        assert livez(port, ca) == 200
    finally:
        master.stop()
    both.chmod(0o640)
    master.start()
    assert master.process is not None
    assert master.process.wait(60) != 0
    assert "chmod 600" in master.text()
