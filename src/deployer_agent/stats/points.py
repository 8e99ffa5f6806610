"""Samples as gauges: pairs of a name that stays the same from release to release and a number. Pure.

Parts of a name are separated by dots; what comes from the host in a name (mountpoints, devices, interfaces) is brought
into letters, digits, `_`, `-` and `%` by `deployer.protocol.ids.node`. A rate without an interval is left out.
"""

from collections.abc import Iterator, Mapping

from deployer.protocol.ids import node
from deployer_agent.stats.host import CpuParts, DiskIo, FileSystem, HostUsage, NetworkIo
from deployer_agent.stats.usage import Consumption

Point = tuple[str, float]


def process_points(consumed: Consumption) -> list[Point]:
    """Of one key's processes: `cpu` in per cent of one core, sizes in bytes, `…_per_s` bytes a second."""
    return [
        ("processes", consumed.processes),
        ("rss", consumed.rss),
        ("vms", consumed.vms),
        ("swap", consumed.swap),
        ("threads", consumed.threads),
        ("fds", consumed.fds),
        ("connections", consumed.connections),
        *(_process_rates(consumed) if consumed.passed_s > 0 else ()),
    ]


def _process_rates(consumed: Consumption) -> list[Point]:
    return [
        ("cpu", consumed.cpu),
        ("read_bytes_per_s", consumed.read_bytes_per_s),
        ("write_bytes_per_s", consumed.write_bytes_per_s),
        ("net_sent_per_s", consumed.net_sent_per_s),
        ("net_received_per_s", consumed.net_received_per_s),
    ]


def host_points(usage: HostUsage) -> list[Point]:
    """Of the host: shares in per cent, sizes in bytes, `…_per_s` a second, `uptime` in seconds."""
    return [
        *_cpu(usage.cpu, usage.cores),
        *((f"load.{minutes}", load) for minutes, load in zip((1, 5, 15), usage.load, strict=True)),
        *((f"memory.{name}", getattr(usage.memory, name)) for name in usage.memory.__struct_fields__),
        *_swap(usage),
        *(point for one in usage.file_systems for point in _file_system(one)),
        *(point for name, each in usage.disk_rates.items() for point in _disk(f"io.{node(name)}", each)),
        *(point for name, each in usage.interface_rates.items() for point in _interface(f"net.{node(name)}", each)),
        ("uptime", usage.uptime_s),
        ("processes", usage.processes),
    ]


def _cpu(total: CpuParts | None, cores: Mapping[str, CpuParts]) -> Iterator[Point]:
    if total is not None:
        yield "cpu.total", total.busy
        for name, share in total._asdict().items():
            yield f"cpu.{name}", share
    for name, parts in cores.items():
        yield f"cpu.core.{node(name)}", parts.busy


def _swap(usage: HostUsage) -> Iterator[Point]:
    yield "swap.total", usage.swap_total
    yield "swap.used", usage.swap_used
    if usage.swap_in is not None and usage.swap_out is not None:
        yield "swap.in_per_s", usage.swap_in
        yield "swap.out_per_s", usage.swap_out


def _file_system(one: FileSystem) -> Iterator[Point]:
    for name in ("total", "used", "free", "inodes", "inodes_used"):
        yield f"disk.{node(one.mountpoint)}.{name}", getattr(one, name)


def _disk(prefix: str, each: DiskIo) -> list[Point]:
    return [
        (f"{prefix}.read_per_s", each.read_bytes),
        (f"{prefix}.write_per_s", each.write_bytes),
        (f"{prefix}.reads_per_s", each.reads),
        (f"{prefix}.writes_per_s", each.writes),
        (f"{prefix}.busy", each.busy_ms / 10),
    ]


def _interface(prefix: str, each: NetworkIo) -> list[Point]:
    return [(f"{prefix}.{name}_per_s", value) for name, value in each._asdict().items()]
