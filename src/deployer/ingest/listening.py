"""Descriptions of where machines' data comes in: `udp:PORT[:interface=ADDR][:company=NAME]`. Pure.

Twisted has no endpoints of UDP. `tcp:` is for Graphite only; a description without a port has the usual one.
"""

import ipaddress
import re
from typing import Final, Literal

from msgspec import Struct

from deployer.errors import StartError

LOOPBACK: Final = "127.0.0.1"
PORTS: Final = {"syslog": 5140, "statsd": 8125, "graphite": 2003}
_COLON: Final = re.compile(r"(?<!\\):")
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
HIGHEST_PORT: Final = 65535

DATAGRAMS_A_SOURCE: Final = 100_000
"""So many datagrams or lines each sender may send in a second."""

Kind = Literal["syslog", "statsd", "graphite"]


class Listening(Struct, frozen=True):
    """One place. `company`: a name or an id, None for the installation's own company; port 0 takes a free one."""

    kind: Kind
    transport: Literal["udp", "tcp"]
    port: int
    interface: str = LOOPBACK
    company: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can send."""
        return ipaddress.ip_address(self.interface).is_loopback


def listening(kind: Kind, description: str) -> Listening:
    """Read a description; StartError with one line for what is none."""
    transport, *parts = (part.replace("\\:", ":") for part in _COLON.split(description))
    if transport != "udp" and not (transport == "tcp" and kind == "graphite"):
        raise StartError(f"{kind}: {description!r} does not begin with {_transports(kind)}")
    port = parts.pop(0) if parts and "=" not in parts[0] else ""
    named = dict(part.partition("=")[::2] for part in parts)
    if set(named) - {"interface", "company"} or len(named) < len(parts) or not all(named.values()):
        raise StartError(f"{kind}: {description!r} is not {transport}:PORT[:interface=ADDR][:company=NAME]")
    interface = named.get("interface", LOOPBACK)
    number = _number(port) if port else PORTS[kind]
    if number is None or not _is_address(interface):
        raise StartError(f"{kind}: {description!r} has no port from 0 to 65535, or an interface that is no address")
    return Listening(kind, transport, number, interface, named.get("company"))  # type: ignore[arg-type]  # looked at above


def _transports(kind: Kind) -> str:
    return "udp: or tcp:" if kind == "graphite" else "udp:"


def _number(text: str) -> int | None:
    return int(text) if _PORT.fullmatch(text) and int(text) <= HIGHEST_PORT else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
