"""Which company a datagram belongs to: that of its sender's network, else of the listener, never of its text. Pure.

Of several networks the longest prefix wins. Addresses of senders can be forged where the network lets them be; a
listener or network of a company's own is as safe as what routes to it (RELIABILITY U2).
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED: Final = "::ffff:"


class Tenants:
    """Companies (ids) by network."""

    def __init__(self, networks: Mapping[Network, str]) -> None:
        self._networks = sorted(networks.items(), key=lambda item: -item[0].prefixlen)

    def company(self, address: str, listener: str) -> str:
        """The company of a sender at a listener that belongs to `listener`."""
        sender = parsed(address)
        return next((company for network, company in self._networks if sender in network), listener)


def parsed(address: str) -> Address:
    """A sender's address; one of IPv4 that came to a socket of IPv6 is one of IPv4."""
    return ipaddress.ip_address(address.partition("%")[0].removeprefix(_MAPPED))
