"""What changed between two descriptions of a host: by tables, and by putting the changes back."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from deployer.model.facts import Change, differences, next_version, summary
from deployer.model.retention import VERSION_BYTES
from deployer.protocol.facts import HostFacts, Mount, encode, ordered
from support.hosts import ETH0, GIB, HOST, ROOT, changed, hosts

DATA = Mount("/dev/vdb", "/srv/data", "xfs", GIB)


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (HOST, []),
        (changed(hostname="web2"), [("/hostname", "web1", "web2")]),
        (changed(memory={"total": 8 * GIB}), [("/memory/total", 16 * GIB, 8 * GIB)]),
        (changed(cpu={"mhz": None}), [("/cpu/mhz", 2300, None)]),
        (
            changed(cpu={"flags": ["avx2", "sse"]}),
            [("/cpu/flags/avx", "avx", None), ("/cpu/flags/avx2", None, "avx2")],
        ),
        (changed(mounts=[ROOT, DATA]), [("/mounts/~1srv~1data", None, msgspec.to_builtins(DATA))]),
        (changed(mounts=[]), [("/mounts/~1", msgspec.to_builtins(ROOT), None)]),
        (changed(mounts=[replace(ROOT, size=None)]), [("/mounts/~1/size", 100 * GIB, None)]),
        (
            changed(interfaces=[replace(ETH0, addresses=["10.0.0.3/24", "fd00::2/64"], mtu=9000)]),
            [
                ("/interfaces/eth0/addresses/10.0.0.2~124", "10.0.0.2/24", None),
                ("/interfaces/eth0/addresses/10.0.0.3~124", None, "10.0.0.3/24"),
                ("/interfaces/eth0/mtu", 1500, 9000),
            ],
        ),
        (
            changed(interfaces=[replace(ETH0, name="a~b")]),
            [
                ("/interfaces/a~0b", None, {**msgspec.to_builtins(ETH0), "name": "a~b"}),
                ("/interfaces/eth0", msgspec.to_builtins(ETH0), None),
            ],
        ),
    ],
)
def test_each_difference_is_told_by_its_path(after: HostFacts, changes: list[tuple[str, Any, Any]]) -> None:
    assert [(one.path, one.old, one.new) for one in differences(HOST, after)] == changes
    assert [(one.path, one.new, one.old) for one in differences(after, HOST)] == changes


def applied(facts: HostFacts, changes: Sequence[Change]) -> HostFacts:
    """What becomes of facts by these changes."""
    tree = msgspec.to_builtins(facts)
    for change in changes:
        tree = _put(tree, [step.replace("~1", "/").replace("~0", "~") for step in change.path.split("/")[1:]], change)
    return ordered(msgspec.convert(tree, HostFacts))


def _put(value: Any, steps: list[str], change: Change) -> Any:
    if not steps:
        assert value == change.old
        return change.new
    step, *rest = steps
    if isinstance(value, dict):
        return {**value, step: _put(value[step], rest, change)}
    named = {item if isinstance(item, str) else item.get("mountpoint", item.get("name")): item for item in value}
    put = _put(named.pop(step, None), rest, change)
    return [*named.values(), *([] if put is None else [put])]


@given(hosts, hosts)
def test_the_old_with_the_changes_is_the_new(old: HostFacts, new: HostFacts) -> None:
    changes = differences(old, new)
    assert applied(old, changes) == new
    assert [one.path for one in changes] == list(dict.fromkeys(one.path for one in changes))
    assert bool(changes) == (old != new)


@given(hosts)
def test_facts_survive_the_wire_and_their_order_stays(facts: HostFacts) -> None:
    assert msgspec.json.decode(encode(facts), type=HostFacts) == facts == ordered(facts)


def test_the_first_version_has_no_changes_and_without_changes_there_is_no_next() -> None:
    first = next_version(None, HOST, 1, 5)
    assert first is not None
    assert (first.n, first.at, first.changes, first.more) == (1, 5, [], 0)
    assert next_version(HOST, HOST, 2, 6) is None
    second = next_version(HOST, changed(agent="2"), 2, 6)
    assert second is not None
    assert (second.n, second.changes) == (2, [Change("/agent", "0.1.0", "2")])


def test_of_a_version_with_too_many_changes_some_are_told_and_the_others_counted() -> None:
    many = changed(mounts=[Mount("/dev/v", f"/{n:03d}{'x' * 900}", "ext4", n) for n in range(100)])
    version = next_version(HOST, many, 2, 6)
    assert version is not None
    assert len(encode_changes(version.changes)) <= VERSION_BYTES
    assert len(version.changes) > 5
    assert len(version.changes) + version.more == 101


def encode_changes(changes: Sequence[Change]) -> bytes:
    return msgspec.json.encode(changes)


def test_a_host_in_short() -> None:
    assert msgspec.to_builtins(summary(HOST)) == {
        "name": "web1",
        "cpu": "Fast One",
        "cores": 4,
        "memory": 16 * GIB,
        "os": "linux",
    }
