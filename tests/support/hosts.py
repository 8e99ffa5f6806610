"""Hosts that were never seen, for tests of facts."""

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from deployer.protocol.facts import Cpu, HostFacts, Interface, Memory, Mount, Os, ordered

GIB = 1024**3
ETH0 = Interface("eth0", "02:fc:00:00:00:01", 1500, ["10.0.0.2/24", "fd00::2/64"])
ROOT = Mount("/dev/vda", "/", "ext4", 100 * GIB)
HOST = HostFacts(
    hostname="web1",
    os=Os("linux", "debian", "12", "6.1.0", "x86_64"),
    cpu=Cpu("Fast One", 8, 4, 2300, ["avx", "sse"]),
    memory=Memory(16 * GIB, 0),
    mounts=[ROOT],
    interfaces=[ETH0],
    agent="0.1.0",
    boot_time=1_700_000_000,
)


def changed(**fields: Any) -> HostFacts:
    """The host with other fields; `cpu`, `os`, `memory` may be given as dicts of theirs."""
    parts = {name: replace(getattr(HOST, name), **value) for name, value in fields.items() if isinstance(value, dict)}
    return replace(HOST, **{**fields, **parts})


_words = st.sampled_from(["", "a", "b", "~0/", "é 1"])
_names = st.sampled_from(["a", "b", "a/b", "~1", "é 1"])
_numbers = st.integers(0, 3)


def _unique(items: st.SearchStrategy[Any], key: str) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=4, unique_by=lambda item: getattr(item, key))


hosts = st.builds(
    HostFacts,
    hostname=_words,
    os=st.builds(Os, _words, _words, _words, _words, _words),
    cpu=st.builds(Cpu, _words, _numbers, _numbers, st.none() | _numbers, st.lists(_names, max_size=3)),
    memory=st.builds(Memory, _numbers, _numbers),
    mounts=_unique(st.builds(Mount, _words, _names, _words, st.none() | _numbers), "mountpoint"),
    interfaces=_unique(st.builds(Interface, _names, _words, _numbers, st.lists(_names, max_size=3)), "name"),
    agent=_words,
    boot_time=_numbers,
    virtualization=_words,
    cut=_numbers,
).map(ordered)
"""Facts of any kind, in their order."""
