import pytest

from deployer.errors import StartError
from deployer.stores.address import Address, parse
from deployer.stores.connection import Login


@pytest.mark.parametrize(
    ("url", "endpoint", "login"),
    [
        ("unix:/run/redis.sock", "unix:/run/redis.sock", Login()),
        ("unix:///run/a:b", "unix:/run/a\\:b", Login()),
        ("redis://localhost", "tcp:localhost:6379", Login()),
        ("redis://127.0.0.1:7000/3", "tcp:127.0.0.1:7000", Login(None, None, 3)),
        ("redis://[::1]:7000", "tcp:\\:\\:1:7000", Login()),
        ("redis://:s%20t@db.example:1", "tcp:db.example:1", Login(None, "s t", 0)),
        ("rediss://u:p@db.example", "tls:db.example:6379", Login("u", "p", 0)),
        ("rediss://db.example", "tls:db.example:6379", Login()),
    ],
)
def test_addresses_become_endpoints(url: str, endpoint: str, login: Login) -> None:
    assert parse(url) == Address(endpoint, login)


@pytest.mark.parametrize(
    "url", ["", "http://x", "redis://", "redis://h:port", "redis://127.0.0.1/x", "redis://db.example:1"]
)
def test_what_is_no_address_or_open_to_the_network_is_refused(url: str) -> None:
    with pytest.raises(StartError):
        parse(url)
