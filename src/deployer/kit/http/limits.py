"""What one connection may ask for, in bytes and in seconds."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from msgspec import Struct

MIB: Final = 1024 * 1024


def one_mebibyte(path: bytes) -> int:  # noqa: ARG001 (every path has the same limit)
    """The limit of bodies where no route asks for more."""
    return MIB


class HttpLimits(Struct, frozen=True, kw_only=True):
    """Limits of RELIABILITY P1 to P5; every one that is passed has an answer and a counter.

    `header_s` and `body_s` are totals, not gaps between bytes; a body that comes slower than `min_rate` bytes a second
    does not get its whole `body_s`. `idle_s` is how long a connection may wait for its next request, and a client for
    taking an answer. `linger_s` is how long a refused client is still listened to, so that it can read why.
    `max_headers` are the bytes of all header lines of a request together. `hosts` are the names that `Host` may have,
    in lower case and without port; None allows any. `proxies` are balancers: many clients share such an address, so
    that it has no limit of connections.
    """

    header_s: float = 10.0
    body_s: float = 30.0
    min_rate: int = 1000
    rate_grace_s: float = 5.0
    idle_s: float = 60.0
    linger_s: float = 2.0
    max_headers: int = 16 * 1024
    max_header_count: int = 100
    max_url: int = 8 * 1024
    max_body: Callable[[bytes], int] = one_mebibyte
    max_pipelined: int = 16
    max_connections_per_address: int = 200
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    hosts: frozenset[bytes] | None = None

    def is_proxy(self, address: str) -> bool:
        """Whether connections of this address are a balancer's."""
        try:
            return any(ip_address(address) in network for network in self.proxies)
        except ValueError:  # a unix socket
            return False

    def body_time(self, received: int) -> float:
        """How many seconds after its start a body may take that has brought `received` bytes so far."""
        return min(self.body_s, self.rate_grace_s + received / self.min_rate)
