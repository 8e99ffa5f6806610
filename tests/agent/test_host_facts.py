"""What the agent tells of its host: which facts, within which bounds, when, and when not."""

import os
import platform
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil
import pytest
import pytest_twisted
from msgspec.structs import replace
from twisted.internet import reactor  # noqa: TID251 (real sockets)
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from deployer.protocol import facts as wire
from deployer.protocol.facts import HostFacts
from deployer_agent.assembly.agent import Agent
from deployer_agent.config import AgentSettings
from deployer_agent.errors import LinkError, ProblemError
from deployer_agent.facts import host
from deployer_agent.facts.host import HostReader, Readings, fitted, host_facts
from deployer_agent.facts.mounts import Sized, chosen
from deployer_agent.facts.records import Address, Cpu, Memory, Nic, System
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.facts import PERIOD_S, FactsLink
from deployer_agent.outbox.newest import REPEAT_S, NewestOutbox
from support.hosts import HOST, changed
from support.small_master import SmallMaster, problem

T = TypeVar("T")
LINUX = System(
    "web1", "linux", "debian", "debian", "12", "6.1.0", "x86_64", "3.11.7", 99, 1_700_000_000, 200, "kvm", "guest"
)
WINDOWS = System(
    "WIN-1", "windows", "windows", "", "10.0.20348", "2022Server", "AMD64", "3.12.1", 99, 1_700_000_000, 80
)
CPU = Cpu(0, "GenuineIntel", "6", "143", 8, "0", "0", 2, "Fast One", 2299.998, 16384, ["sse", "avx", "sse"])
MEMORY = Memory(16, 8, 8, 50.0, 4, None, None, None, None, None, None, 4, 1, 3)


def readings(**more: Any) -> Readings:
    known: dict[str, Any] = {"system": LINUX, "cpus": [CPU] * 4, "cores": 2, "mhz": 3100.4, "memory": MEMORY}
    return Readings(**{**known, "mounts": [], "nics": [], **more})


def nic(name: str, *addresses: str) -> Nic:
    return Nic(name, "02:fc", 1500, ["up"], None, [Address(one) for one in addresses])


def valid(facts: HostFacts) -> HostFacts:
    """As the master decodes it."""
    body = wire.encode(facts)
    assert len(body) <= wire.MAX_FACTS_BYTES
    return msgspec.json.decode(body, type=HostFacts)


def test_facts_are_what_stays_of_what_was_read() -> None:
    mounts = [Sized("/dev/vdb", "/srv", "xfs", 7), Sized("/dev/vda", "/", "ext4", None)]
    facts = valid(host_facts(readings(mounts=mounts, nics=[nic("lo"), nic("eth0", "b/8", "a/8", "b/8")]), "0.1", 5))
    assert facts == HostFacts(
        hostname="web1",
        os=wire.Os("linux", "debian", "12", "6.1.0", "x86_64"),
        cpu=wire.Cpu("Fast One", 4, 2, 3100, ["avx", "sse"]),
        memory=wire.Memory(16, 4),
        mounts=[wire.Mount("/dev/vda", "/", "ext4", None), wire.Mount("/dev/vdb", "/srv", "xfs", 7)],
        interfaces=[wire.Interface("eth0", "02:fc", 1500, ["a/8", "b/8"]), wire.Interface("lo", "02:fc", 1500, [])],
        agent="0.1",
        boot_time=5,
        virtualization="kvm",
    )


def test_a_windows_host_has_facts_too() -> None:
    nameless = Cpu(0, "", "", "", None, "", "", None, "Intel64 Family 6", None, None, [])
    disks = [Sized("C:\\", "C:\\", "ntfs", 99)]
    found = readings(system=WINDOWS, cpus=[nameless] * 2, cores=None, mhz=None, mounts=disks, nics=[nic("Ethernet 2")])
    facts = valid(host_facts(found, "0.1", 5))
    assert (facts.cpu.cores, facts.cpu.mhz, facts.os.platform, facts.mounts[0].mountpoint) == (
        2,
        None,
        "windows",
        "C:\\",
    )


def test_a_host_that_tells_nothing_has_facts() -> None:
    assert valid(host_facts(readings(cpus=[], cores=None, mhz=None), "", -5)).cpu == wire.Cpu("", 0, 0, None, [])


def test_names_come_in_what_the_wire_takes() -> None:
    mounts = [
        Sized("dev\x1b", "/a\nb\udcff", "xfs", 1),
        Sized("d2", "/a\nb\udcfe", "xfs", 1),
        Sized("d3", "", "xfs", 1),
    ]
    facts = valid(host_facts(readings(mounts=mounts, system=replace(LINUX, hostname="x" * 999)), "v" * 99, 5))
    assert [one.mountpoint for one in facts.mounts] == ["/a\ufffdb\ufffd"]
    assert len(facts.hostname) == wire.MAX_TEXT_CHARS


def test_what_is_too_much_is_left_out_and_counted() -> None:
    mounts = [Sized(f"/dev/{n}", f"/{n:04d}", "xfs", n) for n in range(wire.MAX_MOUNTS + 3)]
    nics = [nic("e", *(f"{n}" for n in range(wire.MAX_ADDRESSES + 2))), *(nic(f"f{n}") for n in range(300))]
    cpu = replace(CPU, flags=[f"f{n}" for n in range(wire.MAX_FLAGS + 1)])
    facts = valid(host_facts(readings(mounts=mounts, nics=nics, cpus=[cpu]), "v", 5))
    assert (len(facts.mounts), len(facts.interfaces), facts.cut) == (256, 256, 3 + 2 + 45 + 1)


def test_facts_that_are_too_long_lose_the_half_of_the_longer_list() -> None:
    mounts = [wire.Mount("d", f"/{n:04d}" + "€" * 900, "xfs", n) for n in range(200)]
    facts = valid(fitted(replace(HOST, mounts=mounts), wire.MAX_FACTS_BYTES))
    assert (len(facts.mounts), facts.cut, facts.interfaces) == (25, 175, HOST.interfaces)
    assert fitted(HOST, wire.MAX_FACTS_BYTES) == HOST


def test_interfaces_of_containers_are_no_facts() -> None:
    names = ["eth0", "veth1a2b", "docker0", "cali12", "lxcab", "tap0", "vnet3", "br-1"]
    facts = host_facts(readings(nics=[nic(name) for name in names]), "v", 5)
    assert [one.name for one in facts.interfaces] == ["br-1", "docker0", "eth0"]


def test_only_what_stays_is_kept_of_mounts_and_only_what_cannot_hang_is_asked() -> None:
    mounts = [
        ("proc", "/proc", "proc"),
        ("/dev/vda", "/", "ext4"),
        ("tmpfs", "/run", "tmpfs"),
        ("nas:/x", "/net", "nfs4"),
        ("/dev/vdb", "/net/below", "xfs"),
        ("/dev/vdc", "/network", "xfs"),
        ("/dev/vda", "/var/lib/pods/1", "ext4"),
        ("overlay", "/var/lib/docker/1", "overlay"),
        ("pool/a", "/tank", "zfs"),
        ("gvfsd", "/run/user/0/gvfs", "fuse.gvfsd"),
        ("/dev/loop3", "/snap/core/1", "squashfs"),
    ]
    assert [(one.device, one.mountpoint, one.asked) for one in chosen(mounts)] == [
        ("/dev/vda", "/", True),
        ("nas:/x", "/net", False),
        ("/dev/vdb", "/net/below", False),
        ("/dev/vdc", "/network", True),
        ("pool/a", "/tank", False),
    ]


@pytest.mark.parametrize(("fstype", "asked"), [("overlay", True), ("nfs", False), ("btrfs", True), ("tmpfs", False)])
def test_the_root_is_always_kept(fstype: str, asked: bool) -> None:  # noqa: FBT001 (of a table)
    assert [one.asked for one in chosen([("x", "/", fstype)])] == [asked]


def test_of_what_is_mounted_over_another_the_later_is_there() -> None:
    (place,) = chosen([("/dev/a", "/srv", "xfs"), ("/dev/b", "/srv", "ext4")])
    assert (place.device, place.fstype) == ("/dev/b", "ext4")


def test_a_boot_time_that_trembles_stays_what_it_was() -> None:
    boots = iter([1000, 1001, 1000 - host.STEADY_S + 1, 5000, 5001])
    reader = HostReader("v", lambda: readings(system=replace(LINUX, boot_time=next(boots))))
    assert [reader().boot_time for _ in range(5)] == [1000, 1000, 1000, 5000, 5000]


def test_this_host_has_facts() -> None:
    facts = valid(HostReader("v")())
    assert facts == HostReader("v")()
    assert facts.hostname == socket.gethostname()
    assert facts.cpu.logical == os.cpu_count()
    assert 1 <= facts.cpu.cores <= facts.cpu.logical
    assert facts.memory.total == psutil.virtual_memory().total
    assert facts.os.kernel == platform.release()
    assert "/" in [one.mountpoint for one in facts.mounts]
    assert "lo" in [one.name for one in facts.interfaces]


class Box:
    """An outbox with its clock, and how often it said that there is something."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.box = NewestOutbox("facts", self.clock)

    def told(self, facts: HostFacts) -> bool:
        """Whether these facts are to be posted; they arrive."""
        self.box.offer(wire.encode(facts))
        post = self.box.take()
        if post is not None:
            self.box.acknowledge(post)
        return post is not None


def test_what_the_master_has_is_told_again_after_a_day() -> None:
    box = Box()
    assert [box.told(HOST), box.told(HOST), box.told(changed(agent="2")), box.told(HOST)] == [True, False, True, True]
    box.clock.advance(REPEAT_S - 1)
    assert not box.told(HOST)
    box.clock.advance(1)
    assert [box.told(HOST), box.told(HOST)] == [True, False]


def test_of_what_waits_only_the_newest_is_posted() -> None:
    box = NewestOutbox("facts", Clock())
    box.offer(wire.encode(changed(agent="1")))
    box.offer(wire.encode(changed(agent="2")))
    first = box.take()
    assert first is not None
    assert b'"agent":"2"' in first.body
    box.offer(wire.encode(changed(agent="2")))
    assert box._waiting is None
    box.offer(wire.encode(changed(agent="3")))
    box.give_back(first)
    second = box.take()
    assert second is not None
    assert b'"agent":"3"' in second.body
    box.give_back(second)
    assert box.take() == second
    assert box.take() is None


def test_what_went_back_while_it_was_on_its_way_is_told() -> None:
    box = Box()
    assert box.told(HOST)
    box.box.offer(wire.encode(changed(agent="2")))
    post = box.box.take()
    box.box.offer(wire.encode(HOST))
    assert post is not None
    box.box.acknowledge(post)
    again = box.box.take()
    assert again is not None
    assert again.body == wire.encode(HOST)


class Neighbours:
    """Requests that end as the test says, a reader, a clock; everything a link of facts needs."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.clock = Clock()
        self.posted: list[bytes] = []
        self.facts = [HOST]
        self.outcomes: list[Exception | None] = list(outcomes)
        self.drawn: list[tuple[float, float]] = []
        self.link = FactsLink(self, self._read, self.clock, Complaints(self.clock), self._uniform)  # type: ignore[arg-type]  # what of Requests it uses

    async def post(self, route: str, body: bytes, kind: type[T]) -> T:
        assert route == "facts"
        self.posted.append(body)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return msgspec.json.decode(b'{"version":1}', type=kind)

    async def _read(self) -> HostFacts:
        return await succeed(self.facts[-1])

    def _uniform(self, low: float, high: float) -> float:
        self.drawn.append((low, high))
        return high

    def pass_(self, seconds: Sequence[float]) -> int:
        """Let time pass; how often was posted since."""
        before = len(self.posted)
        for one in seconds:
            self.clock.advance(one)
        return len(self.posted) - before


async def test_facts_are_told_at_once_and_when_they_have_changed_after_an_hour_or_so() -> None:
    near = Neighbours()
    near.link.open()
    assert near.posted == [wire.encode(HOST)]
    (jitter,) = near.drawn
    assert jitter == (0.9, 1.1)
    assert near.pass_([PERIOD_S * 1.1] * 3) == 0
    near.facts.append(changed(agent="2"))
    assert near.pass_([PERIOD_S]) == 0
    assert near.pass_([PERIOD_S * 0.11]) == 1
    await near.link.close()
    near.facts.append(HOST)
    assert near.pass_([PERIOD_S * 2]) == 0
    assert near.clock.getDelayedCalls() == []


async def test_a_post_that_fails_is_made_again_with_the_newest() -> None:
    near = Neighbours(LinkError("away"), ProblemError(503, "unavailable", ""))
    near.link.open()
    assert near.pass_([60.0, 60.0]) == 2
    assert near.posted == [wire.encode(HOST)] * 3
    assert near.pass_([60.0] * 5) == 0
    await near.link.close()


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_what_the_master_does_not_take_is_not_told_again(status: int) -> None:
    near = Neighbours(ProblemError(status, "invalid", ""))
    near.link.open()
    assert near.pass_([60.0, PERIOD_S * 2]) == 0
    near.facts.append(changed(agent="2"))
    assert near.pass_([PERIOD_S * 2]) == 1
    await near.link.close()


@pytest_twisted.ensureDeferred
async def test_the_agent_tells_what_its_host_is(tmp_path: Path) -> None:
    master = SmallMaster(reactor)
    master.trouble["facts"] = [problem(503, "unavailable")]
    (tmp_path / "token").write_text("token")
    (tmp_path / "token").chmod(0o600)
    files = {"data_dir": str(tmp_path / "a"), "join_token_file": str(tmp_path / "token")}
    agent = Agent(AgentSettings(url=master.url, allow_root=True, stop_s=0.5, **files), reactor, lambda: 1e9, print)
    agent.startService()
    await master.until(lambda: master.facts, "the facts")
    assert master.facts[0].hostname == socket.gethostname()
    stopped: Deferred[None] = agent.stopService()
    await stopped
    await master.stop()
