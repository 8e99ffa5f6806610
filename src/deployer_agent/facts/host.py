"""All facts of the host in one record: bounded, in one order, without what changes by itself."""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
import psutil
from msgspec import Struct

from deployer.protocol import facts as wire
from deployer.protocol.facts import HostFacts
from deployer_agent.facts.cpu import read_cpus
from deployer_agent.facts.memory import read_memory
from deployer_agent.facts.mounts import Sized, read_mounts
from deployer_agent.facts.nic import read_nics
from deployer_agent.facts.records import Cpu, Memory, Nic, System
from deployer_agent.facts.system import read_system

PASSING: Final = ("cali", "lxc", "tap", "veth", "vnet")
"""How interfaces of containers and virtual machines are called, which come and go with these."""
STEADY_S: Final = 120
"""A boot time that moves by less is the same one: it is reckoned from the clock, which is put right now and then."""

_FORBIDDEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
T = TypeVar("T")


class Readings(Struct, frozen=True, kw_only=True):
    """What the readers tell. `cores`, `mhz` (the most): None where the system does not tell."""

    system: System
    cpus: Sequence[Cpu]
    cores: int | None
    mhz: float | None
    memory: Memory
    mounts: Sequence[Sized]
    nics: Sequence[Nic]


class HostReader:
    """Reads everything; not in the reactor. `version`: the agent's."""

    def __init__(self, version: str, read: Callable[[], Readings] | None = None) -> None:
        self._version = version
        self._read = read or readings
        self._boot: int | None = None

    def __call__(self) -> HostFacts:
        """The facts of now."""
        found = self._read()
        if self._boot is None or abs(found.system.boot_time - self._boot) >= STEADY_S:
            self._boot = found.system.boot_time
        return fitted(host_facts(found, self._version, self._boot), wire.MAX_FACTS_BYTES)


def readings() -> Readings:
    """All that is read of this host."""
    cpus = read_cpus()
    return Readings(
        system=read_system(),
        cpus=cpus,
        cores=psutil.cpu_count(logical=False),
        mhz=_most_mhz(cpus),
        memory=read_memory(),
        mounts=read_mounts(),
        nics=read_nics(),
    )


def _most_mhz(cpus: Sequence[Cpu]) -> float | None:
    """What the first one can do; as it runs now only in a virtual machine, where that does not change."""
    frequency = psutil.cpu_freq()
    if frequency is not None and frequency.max:
        return float(frequency.max)
    return cpus[0].mhz if cpus and "hypervisor" in cpus[0].flags else None


def host_facts(found: Readings, version: str, boot_time: int) -> HostFacts:
    """The facts of what was read; what is too much of each kind is left out and counted."""
    system, counted = found.system, _Counted()
    nics = [nic for nic in found.nics if not nic.name.startswith(PASSING)]
    facts = HostFacts(
        hostname=_text(system.hostname),
        os=wire.Os(
            *map(_text, (system.os, system.platform, system.platform_version, system.kernel, system.architecture))
        ),
        cpu=_cpu(found, counted),
        memory=wire.Memory(found.memory.total, found.memory.swap_total),
        mounts=counted.first(
            wire.MAX_MOUNTS, _unique([_mount(one) for one in found.mounts], lambda one: one.mountpoint)
        ),
        interfaces=counted.first(
            wire.MAX_INTERFACES, _unique([_interface(nic, counted) for nic in nics], lambda one: one.name)
        ),
        agent=_text(version, wire.MAX_WORD_CHARS),
        boot_time=max(0, boot_time),
        virtualization=_text(system.virtualization_system, wire.MAX_WORD_CHARS),
    )
    return wire.ordered(msgspec.structs.replace(facts, cut=counted.cut))


def fitted(facts: HostFacts, most_bytes: int) -> HostFacts:
    """The same in no more bytes: the longer of the lists of mounts and interfaces is halved until it is."""
    while len(wire.encode(facts)) > most_bytes:
        name = max(("mounts", "interfaces"), key=lambda name: len(wire.encode(getattr(facts, name))))
        items = getattr(facts, name)
        kept = items[: len(items) // 2]
        facts = msgspec.structs.replace(facts, **{name: kept}, cut=facts.cut + len(items) - len(kept))
    return facts


class _Counted:
    """Counts what has no room."""

    def __init__(self) -> None:
        self.cut = 0

    def first(self, most: int, items: Sequence[T]) -> list[T]:
        self.cut += max(0, len(items) - most)
        return list(items[:most])


def _cpu(found: Readings, counted: _Counted) -> wire.Cpu:
    first = found.cpus[0] if found.cpus else None
    flags = sorted({_text(flag, wire.MAX_WORD_CHARS) for flag in first.flags if flag}) if first else []
    return wire.Cpu(
        model=_text(first.model_name) if first else "",
        logical=len(found.cpus),
        cores=found.cores or len(found.cpus),
        mhz=None if found.mhz is None else round(found.mhz),
        flags=counted.first(wire.MAX_FLAGS, flags),
    )


def _mount(mount: Sized) -> wire.Mount:
    place = _text(mount.mountpoint, wire.MAX_PATH_CHARS)
    return wire.Mount(_text(mount.device), place, _text(mount.fstype, wire.MAX_WORD_CHARS), mount.size)


def _interface(nic: Nic, counted: _Counted) -> wire.Interface:
    addresses = sorted({_text(one.addr, wire.MAX_WORD_CHARS) for one in nic.addrs if one.addr})
    return wire.Interface(
        _text(nic.name, wire.MAX_WORD_CHARS),
        _text(nic.hardwareaddr, wire.MAX_WORD_CHARS),
        nic.mtu,
        counted.first(wire.MAX_ADDRESSES, addresses),
    )


def _unique(items: Sequence[T], key: Callable[[T], str]) -> list[T]:
    """One of each key, in the order of the keys; none without one."""
    found = {key(item): item for item in items if key(item)}
    return [found[name] for name in sorted(found)]


def _text(text: str, most: int = wire.MAX_TEXT_CHARS) -> str:
    """In the characters and the length that the wire takes."""
    return _FORBIDDEN.sub("\ufffd", text)[:most]
