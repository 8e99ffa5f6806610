import tomllib
from pathlib import Path

import msgspec
import pytest

from deployer.assembly.listeners import Plan, plan, with_backlog
from deployer.config import MasterSettings, read
from deployer.errors import StartError

FILE = Path(__file__).resolve().parent.parent / "etc" / "master.toml"
WITHOUT_DEFAULT = {"client_ca_file", "drain_s", "key_file", "redis", "redis_commands"}


def test_the_shipped_file_is_all_comments_and_changes_nothing() -> None:
    assert tomllib.loads(FILE.read_text("utf-8")) == {}
    assert read(str(FILE), {}, {}).values == MasterSettings()


def test_the_shipped_file_shows_every_setting_with_its_default() -> None:
    lines = [line[1:] for line in FILE.read_text("utf-8").splitlines() if line.startswith("#") and line[1:2].isalpha()]
    shown = tomllib.loads("\n".join(lines))
    assert set(shown) == set(MasterSettings.__struct_fields__)
    defaults = msgspec.json.decode(msgspec.json.encode(MasterSettings()))
    for name in set(shown) - WITHOUT_DEFAULT:
        assert shown[name] == defaults[name], name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"http": ["tcp:8966"]}, "plain text"),
        ({"http": ["tcp:8966:interface=0.0.0.0"]}, "plain text"),
        ({"http": ["tcp:8966:interface=10.0.0.1"]}, "plain text"),
        ({"client_ca_file": "/ca.pem"}, "client_ca_file"),
        ({"redis": "redis://127.0.0.1"}, "key_file"),
        ({"redis_max_memory": 5}, "redis_max_memory"),
        ({"trusted_proxies": ["balancer"]}, "trusted_proxies"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies"),
        ({"webhook_networks": ["intern"]}, "webhook_networks"),
    ],
)
def test_settings_that_would_be_unsafe_stop_the_start(options: dict[str, object], message: str) -> None:
    with pytest.raises(StartError, match=message):
        read(None, options, {})


@pytest.mark.parametrize(
    "description", ["tcp:1:interface=127.0.0.1", "tcp:1:interface=\\:\\:1", "ssl:1:privateKey=k", "unix:/run/s"]
)
def test_what_stays_on_this_host_or_is_encrypted_is_accepted(description: str) -> None:
    assert read(None, {"http": [description]}, {}).values.http == (description,)
    assert read(None, {"http": ["tcp:1"], "allow_plaintext": True}, {}).values.allow_plaintext


def test_a_listener_has_room_for_a_burst_of_connections() -> None:
    assert with_backlog("tcp:1:interface=127.0.0.1") == "tcp:1:interface=127.0.0.1:backlog=1024"
    assert with_backlog("tcp:1:backlog=7") == "tcp:1:backlog=7"
    assert with_backlog("systemd:domain=INET:index=0") == "systemd:domain=INET:index=0"


def test_with_our_own_certificate_every_listener_of_tcp_has_tls() -> None:
    assert read(None, {"http": ["tcp:1"], "auto_tls": True}, {}).values.auto_tls
    assert plan("tcp:1:interface=127.0.0.1", auto_tls=True) == Plan("tcp:1:interface=127.0.0.1:backlog=1024", ())
    assert plan("tcp:1:interface=127.0.0.1", auto_tls=False).files is None
    assert plan("unix:/run/s", auto_tls=True).files is None


@pytest.mark.parametrize(
    ("description", "endpoint", "files"),
    [
        ("ssl:443:privateKey=/k:certKey=/c", "tcp:443:backlog=1024", ("/k", "/c")),
        ("ssl:443:privateKey=/k", "tcp:443:backlog=1024", ("/k", "/k")),
        ("ssl:port=443:privateKey=/k", "tcp:443:backlog=1024", ("/k", "/k")),
        ("ssl:443:/k:/c:interface=\\:\\:1", "tcp:443:interface=\\:\\:1:backlog=1024", ("/k", "/c")),
        ("ssl:0:privateKey=C\\:/k:backlog=7:extraCertChain=/e", "tcp:0:backlog=7", ("C:/k", "C:/k", "/e")),
    ],
)
def test_an_ssl_endpoint_is_read_as_twisted_reads_it(description: str, endpoint: str, files: tuple[str, ...]) -> None:
    assert plan(description, auto_tls=False) == Plan(endpoint, files)


@pytest.mark.parametrize(
    "description", ["ssl:443", "ssl:443:privateKey=/k:sslmethod=TLSv1_METHOD", "ssl:1:privateKey=/k:dhParameters=/d"]
)
def test_an_ssl_endpoint_that_asks_for_what_is_not_offered_stops_the_start(description: str) -> None:
    with pytest.raises(StartError, match="ssl: takes"):
        plan(description, auto_tls=False)


def test_names_of_the_certificate_are_names() -> None:
    good = ("a", "a.example", "*.example", "10.0.0.1", "fe80::1")
    assert read(None, {"tls_names": good}, {}).values.tls_names == good
    for wrong in ("", "a b", "http://a", "a.*", "-a", "*", "a" * 64, "a\x00b", "10.0.0.1/8"):
        with pytest.raises(StartError, match="tls_names"):
            read(None, {"tls_names": [wrong]}, {})
