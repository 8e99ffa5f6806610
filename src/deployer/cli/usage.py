"""What hosts and processes consume, as lines of tables. Any number may be missing. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from deployer.cli.trend import trend
from deployer.cli.units import count, duration, exact, size, tenth
from deployer.client.records import Agent, AgentStats, Process

Values = Mapping[str, float]
Format = Callable[[float | None], str]
Row = tuple[str, ...]

_NUMBERS: Final[tuple[tuple[str, str, Format], ...]] = (
    ("PROCS", "processes", count),
    ("CPU%", "cpu", tenth),
    ("RSS", "rss", size),
    ("THREADS", "threads", count),
    ("FDS", "fds", count),
    ("CONNS", "connections", count),
    ("READ/S", "read_bytes_per_s", size),
    ("WRITE/S", "write_bytes_per_s", size),
    ("SENT/S", "net_sent_per_s", size),
    ("RECV/S", "net_received_per_s", size),
)
PROCESS_TITLES: Final = ("AGENT", "PID", "USER", "DOMAIN", "NAME", *(title for title, _, _ in _NUMBERS))
ENDED_TITLES: Final = (*PROCESS_TITLES[:5], "STATUS", "CODE", "STARTED", "ENDED")
HOST_TITLES: Final = (
    "AGENT",
    "HOST",
    "STATE",
    "CPU%",
    "TREND",
    "LOAD",
    "MEMORY",
    "DISK",
    "IN/S",
    "OUT/S",
    "PROCS",
    "UP",
    "AGE",
)
TO_THE_RIGHT: Final = frozenset({"CPU%", "LOAD", "MEMORY", "IN/S", "OUT/S", "UP", "AGE", "PID", *PROCESS_TITLES[5:]})
"""Titles of columns of numbers."""
HOST_SPARE: Final = ("TREND", "UP", "PROCS", "DISK", "LOAD", "OUT/S", "IN/S", "AGE")
PROCESS_SPARE: Final = ("USER", "PID", "CONNS", "FDS", "THREADS", "SENT/S", "RECV/S", "READ/S", "WRITE/S", "PROCS")
"""Titles of columns that narrow terminals do without, the first first."""

TREND_CHARS: Final = 10
SORTS: Final = ("cpu", "memory", "name")


@dataclass(frozen=True, slots=True)
class HostUse:
    """An agent, and what its host consumes as far as that is known."""

    agent: Agent
    stats: AgentStats | None
    cpu: Sequence[float | None] = ()
    """The cpu in per cent, of the last quarter of an hour where the master keeps it."""

    @property
    def values(self) -> Values:
        """The numbers of the host."""
        return {} if self.stats is None else self.stats.host


def process_row(process: Process, *, human: bool = True) -> Row:
    """A line of PROCESS_TITLES; sizes with units, or in bytes."""
    numbers = ((form if human else exact)(process.values.get(key)) for _, key, form in _NUMBERS)
    return (*_who(process), *numbers)


def ended_row(process: Process) -> Row:
    """A line of ENDED_TITLES."""
    return (*_who(process), process.status, process.code, process.started, process.ended)


def _who(process: Process) -> Row:
    return process.agent_id, process.pid, process.user_id, process.domain, process.name


def host_row(host: HostUse, now: float) -> Row:
    """A line of HOST_TITLES; `now` in epoch seconds."""
    agent, values = host.agent, host.values
    return (
        f"{agent.gid}:{agent.nid}",
        agent.hostname,
        agent.state,
        tenth(values.get("cpu.total")),
        trend(host.cpu, TREND_CHARS, (0.0, 100.0)),
        tenth(values.get("load.1")),
        "/".join(filter(None, (size(values.get("memory.used")), size(values.get("memory.total"))))),
        fullest(values),
        size(traffic(values, "received_per_s")),
        size(traffic(values, "sent_per_s")),
        count(values.get("processes")),
        duration(values.get("uptime")),
        duration(age_s(host.stats, now)),
    )


def fullest(values: Values) -> str:
    """The file system with the least room: `/srv 87%`; without totals the one with the most in it."""
    used = {key[:-5]: value for key, value in values.items() if key.startswith("disk.") and key.endswith(".used")}
    shares = {mount: value / total for mount, value in used.items() if (total := values.get(f"{mount}.total"))}
    if shares:
        mount = max(shares, key=lambda one: shares[one])
        return f"{_place(mount)} {shares[mount]:.0%}"
    if used:
        mount = max(used, key=lambda one: used[one])
        return f"{_place(mount)} {size(used[mount])}"
    return ""


def traffic(values: Values, what: str) -> float | None:
    """Bytes a second of all interfaces but the loopback; None when there are none."""
    found = [
        value
        for key, value in values.items()
        if key.startswith("net.") and key.endswith(f".{what}") and not key.startswith("net.lo.")
    ]
    return sum(found) if found else None


def age_s(told: AgentStats | Process | None, now: float) -> float | None:
    """Seconds since the end of the slot that the numbers are of."""
    if told is None or told.epoch is None:
        return None
    return max(now - told.epoch / 1000 - (told.step or 0), 0.0)


def sorted_hosts(hosts: Iterable[HostUse], by: str) -> list[HostUse]:
    """By what is most, or by name."""
    if by == "name":
        return sorted(hosts, key=lambda one: (one.agent.hostname, one.agent.gid, one.agent.nid))
    key = {"cpu": "cpu.total", "memory": "memory.used"}[by]
    return sorted(hosts, key=lambda one: (-one.values.get(key, -1.0), one.agent.gid, one.agent.nid))


def sorted_processes(processes: Iterable[Process], by: str) -> list[Process]:
    """By what is most, or by name."""
    if by == "name":
        return sorted(processes, key=_name)
    key = {"cpu": "cpu", "memory": "rss"}[by]
    return sorted(processes, key=lambda one: (-one.values.get(key, -1.0), *_name(one)))


def _name(process: Process) -> tuple[str, str, str]:
    return process.domain, process.name, process.agent_id


def _place(prefix: str) -> str:
    return unquote(prefix.removeprefix("disk."))
