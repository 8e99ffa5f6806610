"""What a host is, as its agent tells it: nothing that changes by itself (free memory, uptime, the speed of the moment).

Lists have one order, that of their natural keys: mountpoint, name of the interface, the text itself. `cut` counts what
an agent left out as too many. Sizes in bytes; None where the system does not tell.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

MAX_FACTS_BYTES: Final = 128 * 1024
"""The longest facts on the wire."""
MAX_MOUNTS: Final = 256
MAX_INTERFACES: Final = 256
MAX_ADDRESSES: Final = 64
MAX_FLAGS: Final = 512
MAX_TEXT_CHARS: Final = 255
MAX_PATH_CHARS: Final = 1024
MAX_WORD_CHARS: Final = 64
_YEAR_10000: Final = 253_402_300_800

_PLAIN = "^[^\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]*\\Z"
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS, pattern=_PLAIN)]
Path = Annotated[str, Meta(min_length=1, max_length=MAX_PATH_CHARS, pattern=_PLAIN)]
Word = Annotated[str, Meta(max_length=MAX_WORD_CHARS, pattern=_PLAIN)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_WORD_CHARS, pattern=_PLAIN)]
Size = Annotated[int, Meta(ge=0, le=2**62)]
Count = Annotated[int, Meta(ge=0, le=2**31)]


class Os(Struct, frozen=True):
    """The operating system: `linux`, of which `platform` (debian) in `version`; `machine`: x86_64."""

    name: Text
    platform: Text
    version: Text
    kernel: Text
    machine: Text


class Cpu(Struct, frozen=True):
    """All processors: `logical` as the system counts them, in `cores` cores; `mhz`: the most that one does."""

    model: Text
    logical: Count
    cores: Count
    mhz: Count | None
    flags: Annotated[list[Name], Meta(max_length=MAX_FLAGS)]


class Memory(Struct, frozen=True):
    """How much there is."""

    total: Size
    swap_total: Size


class Mount(Struct, frozen=True):
    """A file system that stays; None for the size of one that may not be asked, or changes with others (zfs)."""

    device: Text
    mountpoint: Path
    fstype: Word
    size: Size | None


class Interface(Struct, frozen=True):
    """A network interface; addresses with the length of their network."""

    name: Name
    mac: Word
    mtu: Count
    addresses: Annotated[list[Name], Meta(max_length=MAX_ADDRESSES)]


class HostFacts(Struct, frozen=True, kw_only=True):
    """All of them. `agent`: its version; `boot_time`: epoch seconds; `virtualization`: what the host runs in, or ""."""

    hostname: Text
    os: Os
    cpu: Cpu
    memory: Memory
    mounts: Annotated[list[Mount], Meta(max_length=MAX_MOUNTS)]
    interfaces: Annotated[list[Interface], Meta(max_length=MAX_INTERFACES)]
    agent: Word
    boot_time: Annotated[int, Meta(ge=0, lt=_YEAR_10000)]
    virtualization: Word = ""
    cut: Count = 0

    def __post_init__(self) -> None:
        """ValueError when two mounts or two interfaces have one key: what changed could not be told."""
        _require_unique("mountpoint", [mount.mountpoint for mount in self.mounts])
        _require_unique("interface", [interface.name for interface in self.interfaces])


class FactsAnswer(Struct, frozen=True):
    """`version`: the number of the version that the master has now."""

    version: int


def ordered(facts: HostFacts) -> HostFacts:
    """The same facts with all lists in their order, nothing in them twice."""
    interfaces = [_ordered_interface(one) for one in sorted(facts.interfaces, key=lambda one: one.name)]
    return msgspec.structs.replace(
        facts,
        cpu=msgspec.structs.replace(facts.cpu, flags=sorted(set(facts.cpu.flags))),
        mounts=sorted(facts.mounts, key=lambda mount: mount.mountpoint),
        interfaces=interfaces,
    )


def _ordered_interface(interface: Interface) -> Interface:
    return msgspec.structs.replace(interface, addresses=sorted(set(interface.addresses)))


def _require_unique(what: str, keys: Sequence[str]) -> None:
    if len(set(keys)) != len(keys):
        raise ValueError(f"two entries have the same {what}")


encode = msgspec.json.Encoder().encode
