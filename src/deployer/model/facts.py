"""What became another thing between two descriptions of a host, and what a host is in few words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from deployer.model.retention import VERSION_BYTES
from deployer.protocol.facts import HostFacts


class Change(Struct, frozen=True):
    """One difference. `path`: a JSON pointer (RFC 6901) whose steps into lists are natural keys, not numbers.

    `old` is None for what was added, `new` for what was removed: a field, or a whole item of a list.
    """

    path: str
    old: Any
    new: Any


class Version(Struct, frozen=True):
    """How the facts became what they were from `at` (epoch ms) on; the first one has no changes.

    `more`: how many changes are not listed since they were too many.
    """

    n: int
    at: int
    changes: Sequence[Change]
    more: int = 0


class Summary(Struct, frozen=True):
    """A host in the words of seed 000; `memory` in bytes."""

    name: str
    cpu: str
    cores: int
    memory: int
    os: str


def summary(facts: HostFacts) -> Summary:
    """What lists show of a host."""
    return Summary(facts.hostname, facts.cpu.model, facts.cpu.cores, facts.memory.total, facts.os.name)


def next_version(before: HostFacts | None, after: HostFacts, n: int, at: int) -> Version | None:
    """The version that follows, `n` its number; None when nothing has changed."""
    changes = [] if before is None else differences(before, after)
    if before is not None and not changes:
        return None
    listed = _within(changes, VERSION_BYTES)
    return Version(n, at, changes[:listed], len(changes) - listed)


def differences(old: HostFacts, new: HostFacts) -> list[Change]:
    """All of them, by path."""
    return list(_compared("", msgspec.to_builtins(old), msgspec.to_builtins(new)))


def _compared(path: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    before, after = _parts(old), _parts(new)
    if before is None or after is None:
        yield Change(path, old, new)
        return
    for step in sorted(before.keys() | after.keys()):
        yield from _compared(f"{path}/{_escaped(step)}", before.get(step), after.get(step))


def _parts(value: Any) -> Mapping[str, Any] | None:
    """The fields of a record, or the items of a list by their natural key."""
    if isinstance(value, dict):
        return value
    return {_key(item): item for item in value} if isinstance(value, list) else None


def _key(item: Any) -> str:
    if isinstance(item, str):
        return item
    return str(item["mountpoint"] if "mountpoint" in item else item["name"])


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _within(changes: Sequence[Change], most_bytes: int) -> int:
    """How many of them, from the first, have room."""
    size = 0
    for index, change in enumerate(changes):
        size += len(_encode(change)) + 1
        if size > most_bytes:
            return index
    return len(changes)


_encode = msgspec.json.Encoder().encode
