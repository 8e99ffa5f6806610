"""A configuration, key or certificate that others could have changed or seen, or that is none, stops the start (D8)."""

import datetime as dt
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.certificates import DAY, Issuer
from support.programs import run_to_its_end

SOMEBODY = 12345
Damage = Callable[[Path], None]


def mode(bits: int) -> Damage:
    return lambda path: path.chmod(bits)


def foreign(path: Path) -> None:
    os.chown(path, SOMEBODY, SOMEBODY)


def linked(path: Path) -> None:
    there = path.with_suffix(".there")
    path.rename(there)
    path.symlink_to(there)


def missing(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff not what it should be")


def expired(path: Path) -> None:
    path.write_bytes(Issuer().issue(time=(-3 * DAY, -DAY)))


def password(path: Path) -> None:
    path.write_text('redis = "redis://:sesame@127.0.0.1:1"\n')
    path.chmod(0o644)


def ed25519() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def _require_one_line(done: "subprocess.CompletedProcess[str]", message: str) -> None:
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    assert len([line for line in text.splitlines() if message in line]) == 1, text
    assert "Traceback" not in text
    assert "sesame" not in text


@pytest.mark.parametrize("program", ["deployer-master", "deployer-agent"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (mode(0o666), "so others can write it: chmod go-w"),
        (mode(0o620), "so others can write it: chmod go-w"),
        (foreign, "belongs to user 12345: chown root"),
        (missing, "cannot read"),
        (garbage, "is not TOML"),
        (password, "so others can read the password in it: chmod 600"),
    ],
)
def test_a_configuration_that_is_not_to_be_trusted_stops_the_start(
    tmp_path: Path, program: str, damage: Damage, message: str
) -> None:
    config = _private(tmp_path / "config.toml", b"# nothing\n")
    damage(config)
    _require_one_line(run_to_its_end(program, f"--config={config}", f"--data-dir={tmp_path / 'd'}"), message)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (mode(0o644), "so others can use it: chmod 600"),
        (mode(0o660), "so others can use it: chmod 600"),
        (foreign, "belongs to user 12345: chown root"),
        (linked, "is a symbolic link"),
        (garbage, "master.key holds no masters' key"),
    ],
)
def test_a_masters_key_that_is_not_to_be_trusted_stops_the_start(tmp_path: Path, damage: Damage, message: str) -> None:
    damage(_private(tmp_path / "master.key", ed25519()))
    _require_one_line(run_to_its_end("deployer-master", f"--data-dir={tmp_path}", "-p0"), message)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (mode(0o644), "so others can use it: chmod 600"),
        (foreign, "belongs to user 12345: chown root"),
        (linked, "is a symbolic link"),
        (garbage, "agent.key cannot be read as a key"),
    ],
)
def test_an_agents_key_that_is_not_to_be_trusted_stops_the_start(tmp_path: Path, damage: Damage, message: str) -> None:
    first = run_to_its_end("deployer-agent", f"--data-dir={tmp_path}", "--url=http://127.0.0.1:1", "--allow-root")
    assert "has not joined yet" in first.stdout + first.stderr
    damage(tmp_path / "agent.key")
    done = run_to_its_end("deployer-agent", f"--data-dir={tmp_path}", "--url=http://127.0.0.1:1", "--allow-root")
    _require_one_line(done, message)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (mode(0o644), "so others can use it: chmod 600"),
        (foreign, "belongs to user 12345: chown root"),
        (missing, "No such file"),
        (garbage, "no key and certificate in PEM"),
        (expired, "the certificate has expired on "),
    ],
)
def test_a_server_certificate_that_is_not_to_be_trusted_stops_the_start(
    tmp_path: Path, damage: Damage, message: str
) -> None:
    pem = _private(tmp_path / "server.pem", Issuer().issue(time=(-DAY, dt.timedelta(hours=1))))
    damage(pem)
    listen = f"--http=ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
    _require_one_line(run_to_its_end("deployer-master", f"--data-dir={tmp_path / 'd'}", listen), message)
