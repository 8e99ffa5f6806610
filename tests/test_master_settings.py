import tomllib
from pathlib import Path

import msgspec
import pytest

from deployer.assembly.master import with_backlog
from deployer.config import MasterSettings, read
from deployer.errors import StartError

FILE = Path(__file__).resolve().parent.parent / "etc" / "master.toml"
WITHOUT_DEFAULT = {"drain_s", "key_file", "redis", "redis_commands"}


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
        ({"redis": "redis://127.0.0.1"}, "key_file"),
        ({"redis_max_memory": 5}, "redis_max_memory"),
        ({"trusted_proxies": ["balancer"]}, "trusted_proxies"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies"),
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
