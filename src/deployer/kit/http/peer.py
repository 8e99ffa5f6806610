"""Who is on the other end of a request: its address, whether nobody could listen, and the origin that a page has.

`X-Forwarded-For` and `X-Forwarded-Proto` are read only when they come from a proxy that the settings name.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from msgspec import Struct
from twisted.web.http import Request

from deployer.kit.http.limits import HttpLimits

LOCAL: Final = "local"
"""The address of whoever comes by a unix socket."""


class Peer(Struct, frozen=True):
    """`secure`: it came over TLS. `own_origin`: that of our pages; `origin`: of the page that sent this, if told."""

    address: str
    secure: bool
    own_origin: str
    origin: str | None

    @property
    def is_loopback(self) -> bool:
        """Whether it came from this host."""
        return self.address == LOCAL or ip_address(self.address).is_loopback

    @property
    def source(self) -> str:
        """What attempts are counted by: an IPv4 address, or the network of an IPv6 one, all of which one host has."""
        address = None if self.address == LOCAL else ip_address(self.address)
        if not isinstance(address, IPv6Address):
            return self.address
        return str(address.ipv4_mapped or f"{IPv6Address(int(address) >> 64 << 64)}/64")

    @property
    def is_own_page(self) -> bool:
        """Whether no page of another origin can have sent this."""
        return self.origin is None or self.origin.lower() == self.own_origin


class Peers:
    """Finds who sent a request."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits

    def of(self, request: Request) -> Peer:
        """The client of a request."""
        address = _known(getattr(request.getClientAddress(), "host", LOCAL)) or LOCAL
        secure = bool(request.isSecure())
        if self._limits.is_proxy(address):
            address = self._forwarded(request) or address
            secure = secure or _last(request, b"x-forwarded-proto").lower() == "https"
        host = _last(request, b"host").lower()
        origin = request.requestHeaders.hasHeader(b"origin")
        own = f"{'https' if secure else 'http'}://{host}"
        return Peer(address, secure, own, _last(request, b"origin") if origin else None)

    def _forwarded(self, request: Request) -> str | None:
        """The last address that is no proxy of ours: what is before it, anybody may have written."""
        for text in reversed(_all(request, b"x-forwarded-for").split(",")):
            address = _known(text.strip())
            if address is None or not self._limits.is_proxy(address):
                return address
        return None


def _all(request: Request, name: bytes) -> str:
    return b",".join(request.requestHeaders.getRawHeaders(name, [])).decode("latin-1")


def _last(request: Request, name: bytes) -> str:
    return _all(request, name).rpartition(",")[2].strip()


@lru_cache(maxsize=4096)
def _known(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None
