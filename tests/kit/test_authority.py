"""Our own CA and what it issues; when a certificate is made again."""

import datetime as dt
import os
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509

from deployer.kit.tls.authority import FROM, Authority, pin_of
from deployer.kit.tls.context import WrongCertificateError, read_pair, server_context
from deployer.kit.tls.served import RENEW, FileCertificate, OwnCertificate, Shown
from support.certificates import Issuer, kept

SECRET = bytes(range(64))
NOW = 1_800_000_000.0
NAMES = ["master.example", "localhost", "127.0.0.1", "::1"]
DAY_S = 86_400


def leaf(pem: bytes) -> x509.Certificate:
    return read_pair(pem)[1][0]


def test_the_same_secret_makes_the_same_ca_and_another_one_another() -> None:
    one, two, other = Authority(SECRET), Authority(SECRET), Authority(b"x" * 64)
    assert one.pin == two.pin != other.pin
    assert one.certificate.serial_number == two.certificate.serial_number
    assert one.certificate.not_valid_before_utc == FROM
    assert two.has_issued(leaf(one.issue(NAMES, dt.datetime.now(dt.UTC))))
    assert not other.has_issued(leaf(one.issue(NAMES, dt.datetime.now(dt.UTC))))
    public = one.certificate.public_key()
    assert pin_of(public) == one.pin  # type: ignore[arg-type]  # it is a P-256 key
    with pytest.raises(ValueError, match="64"):
        Authority(b"x" * 63)


def test_a_server_certificate_is_for_its_names_and_for_servers_only() -> None:
    one = leaf(Authority(SECRET).issue(NAMES, dt.datetime.now(dt.UTC)))
    names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["master.example", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert not one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert [use._name for use in one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value] == ["serverAuth"]


def own(folder: Path, wall: list[float], names: list[str] = NAMES, secret: bytes = SECRET) -> OwnCertificate:
    made = OwnCertificate(folder / "tls", Authority(secret), names, lambda: wall[0])
    made.load()
    return made


def test_a_certificate_is_kept_over_a_restart_and_is_nobody_elses(tmp_path: Path) -> None:
    first = own(tmp_path, [NOW])
    assert own(tmp_path, [NOW + DAY_S]).pem == first.pem
    for name in ("ca.pem", "server.pem"):
        assert stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert (tmp_path / "tls" / "ca.pem").read_bytes().count(b"PRIVATE") == 0


@pytest.mark.parametrize("damage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_made_again(tmp_path: Path, damage: bytes) -> None:
    first = own(tmp_path, [NOW]).pem
    (tmp_path / "tls" / "server.pem").write_bytes(damage)
    assert leaf(own(tmp_path, [NOW]).pem).serial_number != leaf(first).serial_number


def test_other_names_another_ca_and_a_clock_that_was_wrong_make_another_certificate(tmp_path: Path) -> None:
    serials = [
        leaf(own(tmp_path, [NOW]).pem).serial_number,
        leaf(own(tmp_path, [NOW], [*NAMES, "more.example"]).pem).serial_number,
        leaf(own(tmp_path, [NOW], secret=b"y" * 64).pem).serial_number,
        leaf(own(tmp_path, [NOW - 10 * DAY_S], secret=b"y" * 64).pem).serial_number,
    ]
    assert len(set(serials)) == 4


async def test_a_certificate_is_replaced_while_the_master_runs(tmp_path: Path) -> None:
    wall = [NOW]
    shown = Shown(OwnCertificate(tmp_path / "tls", Authority(SECRET), NAMES, lambda: wall[0]), server_context)
    first = shown.context
    wall[0] += (90 * DAY_S) - RENEW.total_seconds() - 60
    await shown.look()
    assert shown.context is first
    wall[0] += 120
    await shown.look()
    assert shown.context is not first
    assert leaf((tmp_path / "tls" / "server.pem").read_bytes()).not_valid_after_utc.timestamp() > wall[0] + 80 * DAY_S


def test_a_certificate_that_cannot_be_kept_is_served_all_the_same(tmp_path: Path) -> None:
    wall = [NOW]
    made = own(tmp_path, wall)
    first = made.pem
    (tmp_path / "tls").rename(tmp_path / "gone")
    wall[0] += 80 * DAY_S
    assert made.look()
    assert made.pem != first
    assert not made.look()


def test_an_operators_files_are_read_again_when_they_change_and_serve(tmp_path: Path) -> None:
    issuer = Issuer()
    both = kept(tmp_path / "both.pem", issuer.issue())
    files = FileCertificate(time.time, both, both)
    files.load()
    first = files.pem
    assert not files.look()
    both.write_bytes(b"garbage")
    os.utime(both, (1, 1))
    assert not files.look()
    assert files.pem == first
    both.write_bytes(issuer.issue())
    os.utime(both, (2, 2))
    assert files.look()
    assert files.pem != first
    both.unlink()
    assert not files.look()


def test_a_key_and_a_certificate_that_do_not_belong_together_are_not_served() -> None:
    issuer = Issuer()
    key, certificate = issuer.issue(), issuer.issue()
    for wrong in (
        b"",
        key.partition(b"-----BEGIN CERT")[0],
        certificate.partition(b"KEY-----\n-----BEGIN CERT")[0][:40],
        key.partition(b"-----BEGIN CERT")[0] + b"-----BEGIN CERT" + certificate.partition(b"-----BEGIN CERT")[2],
    ):
        with pytest.raises(WrongCertificateError):
            read_pair(wrong)
