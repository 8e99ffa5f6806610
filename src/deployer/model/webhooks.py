"""Whom events may be told, how that is signed, and when it is tried again (RELIABILITY D6). Pure.

An address that is not a public one could be anything that only a master reaches: it is refused unless the operator has
named its network. What a name stands for is asked when it is used, and may be another thing each time; so the address
that is connected to is what counts.
"""

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS: Final = {"http": 80, "https": 443}
FIRST_FREE_PORT: Final = 1024
OTHERS_PORTS: Final = frozenset({2049, 3306, 3389, 5432, 5672, 5900, 5985, 6000, 6379, 9200, 11211, 27017})
"""What listens there takes what is sent for commands, or is nobody's business."""
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 3600.0
PATIENCE_MS: Final = 86_400_000
"""What could not be told for so long is left out."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_UNICAST: Final = ipaddress.ip_network("2000::/3")
_OTHERS: Final = [ipaddress.ip_network(text) for text in ("192.88.99.0/24", "3fff::/20")]
"""Global by the tables of some Pythons, and nobody's web server."""
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?", re.ASCII)

EventTypes = Annotated[
    list[Annotated[str, Meta(pattern=r"^[a-z]{1,20}(\.[a-z]{1,20})?\Z")]], Meta(min_length=1, max_length=50)
]
Url = Annotated[str, Meta(min_length=8, max_length=2000)]


class Destination(Struct, frozen=True):
    """Where a URL leads. `path` with its query, as it is asked for."""

    is_tls: bool
    host: str
    port: int
    path: str


def destination(url: str, allowed: Sequence[Network]) -> Destination:
    """Where it leads; ValueError says why it may not be told."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("a URL has printable ASCII characters only: encode the others")
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError("only http:// and https:// are told")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user and password in the URL: what is sent is signed")
    if parts.fragment:
        raise ValueError("a fragment is never sent: leave out what begins with #")
    port = _port(parts.port, parts.scheme)
    host = parts.hostname or ""
    if (address := literal(host)) is not None:
        require_allowed(address, allowed)
    elif not _HOST.fullmatch(host):
        raise ValueError("the URL names no host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme == "https", host, port, path)


def _port(port: int | None, scheme: str) -> int:
    usual = PORTS[scheme]
    if port is None or port in PORTS.values():
        return port or usual
    if port < FIRST_FREE_PORT or port in OTHERS_PORTS:
        raise ValueError(f"port {port} is another service's: use 80, 443 or one from {FIRST_FREE_PORT} on")
    return port


def literal(host: str) -> Address | None:
    """The address that a host is written as, also as `0x7f.1`; None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def require_allowed(address: Address, allowed: Sequence[Network]) -> None:
    """ValueError for an address that is not public and in none of these networks."""
    for one in _meant(address):
        if not _is_public(one):
            if any(one.version == network.version and one in network for network in allowed):
                continue
            raise ValueError(f"{one} is not a public address; the operator may allow its network (webhook_networks)")


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    if any(address.version == network.version and address in network for network in _OTHERS):
        return False
    return isinstance(address, ipaddress.IPv4Address) or address in _UNICAST


def _meant(address: Address) -> list[Address]:
    """An address and those that are written into it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[Address] = [] if address.sixtofour is None else [address.sixtofour]
    inner += list(address.teredo or ())
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address, *inner]


def signature(secret: str, at_s: int, body: bytes) -> str:
    """`t=<epoch s>,v1=<hex HMAC-SHA256 of "t.body">`, which the receiver compares with its own."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (at_s, body), hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def retry_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return min(FIRST_RETRY_S * 2.0 ** min(failures - 1, 30), LONGEST_RETRY_S)
