"""The host's consumption: rates of counters that do whatever they like, files of /proc, mounts that are left alone."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from deployer_agent.stats.host import MOST, CpuParts, FileSystem, HostReading, MemoryUse
from deployer_agent.stats.host_proc_posix import ProcHost, cpus, disk_counters, memory_of
from deployer_agent.stats.host_psutil import read_host
from deployer_agent.stats.host_sampler import HostSampler, reading_here
from deployer_agent.stats.mounts import Mount, askable, parse_mounts
from deployer_agent.stats.points import host_points, process_points
from deployer_agent.stats.rates import Rates, growth
from deployer_agent.stats.usage import Consumption

COUNTERS = st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 2**64), min_size=2, max_size=2))
ETH0 = [10, 1, 0, 0, 20, 2, 0, 0]


@given(st.lists(st.tuples(COUNTERS, st.floats(0, 1e6)), max_size=8))
def test_no_rate_is_negative_or_more_than_the_counter_allows(rounds: list[tuple[dict[str, list[int]], float]]) -> None:
    rates, now, before = Rates(), 0.0, None
    for counters, passed in rounds:
        now, was = now + passed, now
        for name, each in rates.per_second(counters, now).items():
            assert before is not None
            assert all(0 <= rate < math.inf for rate in each)
            assert all(rate * (now - was) <= new * 1.001 for rate, new in zip(each, counters[name], strict=True))
        before = counters


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"a": [5]}, {}),
        ({"a": [5]}, {"a": [7]}, {"a": [2]}),
        ({"a": [5, 5]}, {"a": [7, 4]}, {}),
        ({"a": [2**32 - 1]}, {"a": [3]}, {}),
        ({"a": [5]}, {"a": [7, 1]}, {}),
        ({"a": [5]}, {"b": [7]}, {}),
    ],
)
def test_only_what_grew_has_a_rate(
    before: dict[str, list[int]], after: dict[str, list[int]], expected: dict[str, list[int]]
) -> None:
    assert growth(before, after) == expected


class Readings:
    """Gives one after the other."""

    def __init__(self, *readings: HostReading) -> None:
        self.left = list(readings)

    def __call__(self) -> HostReading:
        return self.left.pop(0)


def sampled(*readings: HostReading) -> list[Any]:
    clock = Clock()
    sampler, found = HostSampler(clock, Readings(*readings)), []
    for _ in readings:
        clock.advance(10)
        found.append(sampler.sample())
    return found


def test_shares_are_of_the_interval_and_missing_where_a_counter_fell() -> None:
    first = HostReading(cpu=[0, 0, 0, 0, 0], cores={"0": [5, 5, 5, 5, 5], "1": [1, 1, 1, 1, 1]})
    second = HostReading(cpu=[10, 20, 5, 15, 50], cores={"0": [6, 6, 6, 6, 5], "1": [9, 9, 9, 9, 0]})
    told = sampled(first, second, second)
    assert [one.cpu for one in told] == [None, CpuParts(10, 20, 5, 15, 50), None]
    assert told[1].cpu.busy == 45
    assert told[1].cores == {"0": CpuParts(25, 25, 25, 25, 0)}


def test_disks_interfaces_and_swap_have_rates_from_the_second_sample_on() -> None:
    first = HostReading(swapped=[0, 0], disks={"sda": [1, 2, 3, 4, 5]}, interfaces={"eth0": ETH0})
    second = HostReading(
        swapped=[40, 20], disks={"sda": [11, 22, 33, 44, 55]}, interfaces={"eth0": [each + 10 for each in ETH0]}
    )
    told = sampled(first, second, first)
    assert (told[0].disk_rates, told[0].interface_rates, told[0].swap_in) == ({}, {}, None)
    assert tuple(told[1].disk_rates["sda"]) == (1, 2, 3, 4, 5)
    assert tuple(told[1].interface_rates["eth0"]) == (1,) * 8
    assert (told[1].swap_in, told[1].swap_out) == (4, 2)
    assert (told[2].disk_rates, told[2].interface_rates, told[2].swap_in) == ({}, {}, None)
    assert told[2].disks["sda"].busy_ms == 5


def test_proc_stat_is_read_with_any_number_of_fields() -> None:
    text = b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4\ncpu1 x\nintr 5\ncpu9 1 2 3 4\n"
    assert cpus(text) == {"": [3, 16, 5, 8, 4], "0": [3, 3, 0, 0, 4]}


def test_disk_counters_are_bytes_and_milliseconds() -> None:
    line = b" 254 0 vda 10 1 20 3 40 5 60 7 8 90 11 12 13\n 1 0 short 1 2\n 2 0 odd a b c d e f g h i j\n"
    assert disk_counters(line) == {"vda": [10, 40, 20 * 512, 60 * 512, 90]}


def test_memory_that_an_old_kernel_does_not_tell_is_reckoned() -> None:
    told = {"MemTotal": 100, "MemFree": 10, "Buffers": 5, "Cached": 20, "SReclaimable": 5}
    assert memory_of(told) == MemoryUse(102400, 61440, 40960, 10240, 5120, 25600)
    assert memory_of(told | {"MemAvailable": 50}).used == 51200
    assert memory_of({}) == MemoryUse()


MOUNTS = r"""proc /proc proc rw 0 0
/dev/sda1 / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local xfs rw 0 0
/dev/sdc1 /mnt/two\040words vfat rw 0 0
/dev/sdd1 /var btrfs rw 0 0
/dev/sdd1 /srv btrfs rw 0 0
host:/x /x fuse.sshfs rw 0 0
/dev/sde1 /covered ext4 rw 0 0
server:/y /covered nfs rw 0 0
overlay /var/lib/docker/merged overlay rw 0 0
garbage
"""


def test_no_file_system_is_asked_that_can_hang_nor_any_below_one() -> None:
    chosen = askable(parse_mounts(MOUNTS))
    assert [mount.mountpoint for mount in chosen] == ["/", "/mnt/two words", "/var"]


def test_the_root_of_a_container_is_asked() -> None:
    assert askable([Mount("overlay", "/", "overlay")]) == [Mount("overlay", "/", "overlay")]


def told(_: str) -> SimpleNamespace:
    return SimpleNamespace(f_frsize=10, f_blocks=100, f_bfree=40, f_bavail=30, f_files=8, f_ffree=3)


def fake(folder: Path, **files: str) -> ProcHost:
    for name, text in files.items():
        path = folder / "proc" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "proc").mkdir(exist_ok=True)
    return ProcHost(str(folder / "proc"), str(folder / "blocks"), told)


def test_a_host_is_read_from_its_files(tmp_path: Path) -> None:
    for name in ("sda", "loop0", "dm-0", "cciss!c0d0"):
        (tmp_path / "blocks" / name).mkdir(parents=True)
    disks = "".join(f" 1 0 {name} 1 0 2 0 3 0 4 0 0 5\n" for name in ("sda", "sda1", "loop0", "dm-0", "cciss/c0d0"))
    host = fake(
        tmp_path,
        diskstats=disks,
        uptime="12.5 3\n",
        loadavg="1.5 2.5 3.5 1/2 3\n",
        meminfo="MemTotal: 10 kB\nSwapTotal: 8 kB\nSwapFree: 6 kB\n",
        vmstat="nr_free 1\npswpin 1\npswpout 2\n",
        self__mounts="/dev/sda1 / ext4 rw 0 0\n",
        net__dev="Inter-|\n face |\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
    )
    (tmp_path / "proc" / "17").mkdir()
    read = host.read()
    assert sorted(read.disks) == ["cciss/c0d0", "dm-0", "sda"]
    assert read.interfaces == {"eth0": [1, 2, 3, 4, 9, 10, 11, 12]}
    assert (read.uptime_s, read.load, read.processes) == (12.5, (1.5, 2.5, 3.5), 1)
    assert (read.swap_total, read.swap_used, read.swapped[1]) == (8192, 2048, read.swapped[0] * 2)
    assert read.file_systems == [FileSystem("/", "/dev/sda1", "ext4", 1000, 600, 300, 8, 5)]


def test_a_host_without_any_of_these_files_is_read_too(tmp_path: Path) -> None:
    assert fake(tmp_path).read() == HostReading(swapped=[], file_systems=[], cpu=())


@given(st.sampled_from(["stat", "diskstats", "uptime", "loadavg", "meminfo", "vmstat", "self__mounts"]), st.text())
def test_garbage_in_a_file_harms_nothing(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    fake(tmp_path_factory.mktemp("host"), **{name: clean}).read()


def test_what_is_too_many_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = "".join(f"eth{number}:{' 1' * 16}\n" for number in range(MOST + 3))
    cores = "cpu 1 1 1 1\n" + "".join(f"cpu{number} 1 1 1 1\n" for number in range(MOST + 2))
    read = fake(tmp_path, net__dev=rows, stat=cores).read()
    assert (len(read.interfaces), len(read.cores), read.cut) == (MOST, MOST, 5)


@pytest.mark.parametrize("read", [reading_here(), read_host])
def test_this_host_is_told_as_psutil_tells_it(read: Any) -> None:
    clock = Clock()
    sampler = HostSampler(clock, read)
    sampler.sample()
    clock.advance(1)
    told = sampler.sample()
    assert told.memory.total == psutil.virtual_memory().total
    assert told.swap_total == psutil.swap_memory().total
    assert len(psutil.cpu_times(percpu=True)) >= len(told.cores)
    assert set(told.interfaces) == set(psutil.net_io_counters(pernic=True))
    assert told.uptime_s > 0
    assert told.processes > 1
    assert 0 < told.memory.used < told.memory.total
    assert all(one.total >= one.used >= 0 for one in told.file_systems)


def names(points: Sequence[tuple[str, float]]) -> set[str]:
    assert len({name for name, _ in points}) == len(points)
    return {name for name, _ in points}


def test_the_names_of_a_hosts_points_stay_as_they_are() -> None:
    reading = HostReading(
        cpu=[0] * 5,
        cores={"0": [0] * 5},
        swapped=[0, 0],
        disks={"cciss/c0d0": [0] * 5},
        interfaces={"eth0.7": [0] * 8},
        file_systems=[FileSystem("/var/lib", "/dev/sda", "ext4", 9, 4, 5, 3, 1)],
    )
    later = HostReading(**{name: getattr(reading, name) for name in reading.__struct_fields__} | {"cpu": [1] * 5})
    points = host_points(sampled(reading, later)[1])
    expected = """cpu.total cpu.user cpu.system cpu.iowait cpu.steal cpu.idle load.1 load.5 load.15
        memory.total memory.used memory.available memory.free memory.buffers memory.cached
        swap.total swap.used swap.in_per_s swap.out_per_s disk.%2Fvar%2Flib.total disk.%2Fvar%2Flib.used
        disk.%2Fvar%2Flib.free disk.%2Fvar%2Flib.inodes disk.%2Fvar%2Flib.inodes_used
        io.cciss%2Fc0d0.read_per_s io.cciss%2Fc0d0.write_per_s io.cciss%2Fc0d0.reads_per_s
        io.cciss%2Fc0d0.writes_per_s io.cciss%2Fc0d0.busy net.eth0%2E7.received_per_s
        net.eth0%2E7.received_packets_per_s net.eth0%2E7.received_errors_per_s net.eth0%2E7.received_drops_per_s
        net.eth0%2E7.sent_per_s net.eth0%2E7.sent_packets_per_s net.eth0%2E7.sent_errors_per_s
        net.eth0%2E7.sent_drops_per_s uptime processes"""
    assert names(points) == set(expected.split())
    assert dict(points)["cpu.total"] == 60
    assert dict(points)["disk.%2Fvar%2Flib.used"] == 4


def test_a_core_has_a_name_of_its_own() -> None:
    first, second = HostReading(cores={"0": [0] * 5}), HostReading(cores={"0": [1, 1, 0, 0, 2]})
    assert dict(host_points(sampled(first, second)[1]))["cpu.core.0"] == 50


def test_the_names_of_a_processs_points_stay_as_they_are() -> None:
    plain = {"processes", "rss", "vms", "swap", "threads", "fds", "connections"}
    rates = {"cpu", "read_bytes_per_s", "write_bytes_per_s", "net_sent_per_s", "net_received_per_s"}
    assert names(process_points(Consumption())) == plain
    points = process_points(Consumption(passed_s=2.0, cpu=50.0, rss=7))
    assert names(points) == plain | rates
    assert dict(points)["cpu"] == 50
    assert dict(points)["rss"] == 7
