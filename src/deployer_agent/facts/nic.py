"""Network interfaces with their addresses."""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import psutil

from deployer_agent.facts.records import Address, Nic


def read_nics() -> list[Nic]:
    """All interfaces, by name."""
    stats = psutil.net_if_stats()
    return [nic(name, addresses, stats.get(name)) for name, addresses in sorted(psutil.net_if_addrs().items())]


def nic(name: str, addresses: Sequence[Any], stat: Any) -> Nic:
    """One interface, of what psutil tells; `stat` None when it has just gone."""
    hardware = next((a.address for a in addresses if a.family == psutil.AF_LINK), "")
    return Nic(
        name=name,
        hardwareaddr=hardware.replace("-", ":").lower(),
        mtu=stat.mtu if stat else 0,
        flags=_flags(stat),
        speed=stat.speed or None if stat else None,
        addrs=[Address(with_length(a.address, a.netmask)) for a in addresses if a.family in _FAMILIES],
    )


_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def with_length(address: str, mask: str | None) -> str:
    """`10.0.0.1` and `255.0.0.0` are `10.0.0.1/8`; the scope of an IPv6 address (`%eth0`) is left out."""
    plain = address.partition("%")[0]
    if not mask:
        return plain
    bits = int(ipaddress.ip_address(mask.partition("/")[0]))
    return f"{plain}/{bits.bit_count()}"


def _flags(stat: Any) -> list[str]:
    if stat is None:
        return []
    told = [flag for flag in getattr(stat, "flags", "").split(",") if flag]
    return told or (["up"] if stat.isup else [])
