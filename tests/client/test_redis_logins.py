"""The client that goes through Redis logs in, over TCP and TLS, at the oldest Redis that a master takes."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from deployer.client.errors import Unreachable
from deployer.client.redis import RedisClient
from deployer.client.redisconnection import RedisError
from support.certificates import Issuer, kept
from support.own_redis import OwnRedis, oldest_server
from support.relay import relay


@pytest.fixture
def server() -> Iterator[OwnRedis]:
    one = OwnRedis(oldest_server(), user="ann on >s3cret@/ ~* &* +@all", requirepass="pw")
    one.start()
    yield one
    one.stop()


def round_trip(client: RedisClient) -> str:
    """What comes back, with the test as the master."""
    command = client.execute(1, 1, "ping")
    client._connection.ask("RPUSH", f"cmds_queue_{command.id}", '{"state": "OK", "data": "pong"}')
    found = command.wait(20).data
    client.close()
    return found


@pytest.mark.parametrize("login", ["ann:s3cret%40%2F", ":pw"])
def test_it_logs_in_and_chooses_a_database(server: OwnRedis, login: str) -> None:
    with relay(server.socket) as port:
        assert round_trip(RedisClient(f"redis://{login}@127.0.0.1:{port}/3")) == "pong"


@pytest.mark.parametrize("login", ["", "ann:wrong@"])
def test_who_may_not_come_in_is_told_so_without_the_password(server: OwnRedis, login: str) -> None:
    with relay(server.socket) as port, pytest.raises(RedisError, match=r"NOAUTH|WRONGPASS") as caught:
        RedisClient(f"redis://{login}127.0.0.1:{port}").execute(1, 1, "ping")
    assert "wrong" not in str(caught.value)


def test_tls_is_verified(server: OwnRedis, tmp_path: Path) -> None:
    issuer = Issuer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(kept(tmp_path / "server.pem", issuer.issue([x509.DNSName("localhost")])))
    good, bad = kept(tmp_path / "ca.pem", issuer.pem), kept(tmp_path / "other.pem", Issuer().pem)
    with relay(server.socket, context) as port:
        address = f"rediss://:pw@localhost:{port}"
        assert round_trip(RedisClient(address, ca_file=str(good))) == "pong"
        with pytest.raises(Unreachable, match="its certificate is not trusted"):
            RedisClient(address, ca_file=str(bad), patience_s=60).execute(1, 1, "ping")
