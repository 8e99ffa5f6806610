from ipaddress import ip_network
from typing import Any

import pytest
from twisted.web.resource import Resource

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.peer import Peer, Peers
from deployer.kit.http.site import HardenedSite
from deployer.rest import cookies
from support.http import Wire

LIMITS = HttpLimits(proxies=(ip_network("10.0.0.0/24"), ip_network("fd00::/64")))


class Asked(Resource):
    """Notes who asks."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)
        self.peers: list[Peer] = []

    def render(self, request: Any) -> bytes:
        self.peers.append(Peers(LIMITS).of(request))
        return b""


def peer(host: str, *headers: str) -> Peer:
    resource = Asked()
    wire = Wire(site=HardenedSite(resource, LIMITS, Wire().clock), host=host)
    lines = "".join(f"{line}\r\n" for line in ("Host: Master:8966", *headers))
    wire.send(f"GET / HTTP/1.1\r\n{lines}\r\n".encode())
    return resource.peers[0]


@pytest.mark.parametrize(
    ("host", "forwarded", "address"),
    [
        ("192.0.2.1", "192.0.2.9", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.9, 10.0.0.7", "192.0.2.9"),
        ("10.0.0.1", "10.0.0.7", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, evil", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_a_forwarded_address_counts_only_from_a_proxy_that_the_settings_name(
    host: str, forwarded: str, address: str
) -> None:
    assert peer(host, f"X-Forwarded-For: {forwarded}").address == address


def test_so_does_a_forwarded_protocol() -> None:
    assert not peer("192.0.2.1", "X-Forwarded-Proto: https").secure
    assert peer("10.0.0.1", "X-Forwarded-Proto: https").secure
    assert not peer("10.0.0.1", "X-Forwarded-Proto: https, http").secure
    assert peer("10.0.0.1", "X-Forwarded-Proto: https").own_origin == "https://master:8966"


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://master:8966", True),
        ("http://MASTER:8966", True),
        ("https://master:8966", False),
        ("http://master", False),
        ("http://master:8966.evil", False),
        ("http://evil", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_page_is_ours_when_its_origin_is(origin: str, is_own: bool) -> None:  # noqa: FBT001 (a table's value)
    assert peer("127.0.0.1", f"Origin: {origin}").is_own_page is is_own
    assert peer("127.0.0.1").is_own_page


@pytest.mark.parametrize(
    ("address", "source", "is_loopback"),
    [
        ("192.0.2.1", "192.0.2.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::/64", True),
        ("2001:db8::1:2:3:4", "2001:db8::/64", False),
        ("::ffff:192.0.2.1", "192.0.2.1", False),
        ("local", "local", True),
    ],
)
def test_attempts_are_counted_by_what_one_host_has(
    address: str,
    source: str,
    is_loopback: bool,  # noqa: FBT001 (a table's value)
) -> None:
    one = Peer(address, secure=False, own_origin="", origin=None)
    assert (one.source, one.is_loopback) == (source, is_loopback)


def test_a_cookie_is_for_this_host_and_tls_only_except_on_plain_loopback() -> None:
    far = Peer("192.0.2.1", secure=True, own_origin="", origin=None)
    near = Peer("127.0.0.1", secure=False, own_origin="", origin=None)
    assert cookies.given("x", far)[1] == "__Host-deployer=x; Path=/; HttpOnly; Secure; SameSite=Strict"
    assert cookies.given("x", near)[1] == "deployer=x; Path=/; HttpOnly; SameSite=Strict"
    assert cookies.given("", far)[1].endswith("; Max-Age=0")
