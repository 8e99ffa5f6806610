"""What is watched of processes on an agent, and when it is too much or too little (seed 000). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from deployer.model.processes import ProcessName, job_of
from deployer.protocol.ids import AgentId, JobId, Name
from deployer.protocol.processes import LiveProcess

MAX_SELECTORS: Final = 50
MAX_THRESHOLDS: Final = 20
MAX_FOR_S: Final = 86400

Metric = Literal[
    "processes",
    "cpu",
    "rss",
    "vms",
    "swap",
    "threads",
    "fds",
    "connections",
    "read_bytes_per_s",
    "write_bytes_per_s",
    "net_sent_per_s",
    "net_received_per_s",
]
Limit = Annotated[float, Meta(ge=0, le=1e18)]


class Selector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Processes of a monitor: one by its id, or all that run of a job, a domain, a name; all that is said counts."""

    id: Annotated[str, Meta(max_length=240)] | None = None
    job: JobId | None = None
    domain: Name | None = None
    name: Name | None = None

    def __post_init__(self) -> None:
        """ValueError for one that says nothing."""
        if self.id is None and self.job is None and self.domain is None and self.name is None:
            raise ValueError("say which processes: by id, job, domain or name")

    def takes(self, agent: AgentId, one: LiveProcess) -> bool:
        """Whether a process is meant."""
        pairs = (
            (self.id, str(ProcessName(one.task, agent, one.run))),
            (self.job, job_of(one.task)),
            (self.domain, one.domain),
            (self.name, one.name),
        )
        return all(wanted in {None, its} for wanted, its in pairs)


class Threshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the sum over a monitor's processes may be: it is broken when above, or below, for so many seconds.

    `metric`: `processes` counts them with all that they have started; `cpu` is in per cent of one core, sizes in bytes.
    """

    metric: Metric
    above: Limit | None = None
    below: Limit | None = None
    for_s: Annotated[int, Meta(ge=0, le=MAX_FOR_S)] = 0

    def __post_init__(self) -> None:
        """ValueError for one that has not exactly one limit."""
        if (self.above is None) == (self.below is None):
            raise ValueError("a threshold has either `above` or `below`")

    def is_broken_by(self, value: float | None) -> bool:
        """Whether a sum is beyond it; what is not known is not."""
        if value is None:
            return False
        return value > self.above if self.above is not None else value < (self.below or 0.0)

    def __str__(self) -> str:
        """In words."""
        side, limit = ("above", self.above) if self.above is not None else ("below", self.below)
        return f"{side} {limit:g} for {self.for_s} s"


Selectors = Annotated[list[Selector], Meta(min_length=1, max_length=MAX_SELECTORS)]
Thresholds = Annotated[list[Threshold], Meta(max_length=MAX_THRESHOLDS)]


class Watched(Struct, frozen=True, kw_only=True):
    """What a monitor is. `agent`: gid:nid; `created`: epoch ms."""

    id: str
    name: str
    agent: str
    processes: Selectors
    thresholds: Thresholds
    user: str
    created: int


def chosen(watched: Watched, running: Iterable[LiveProcess]) -> list[LiveProcess]:
    """The processes of a monitor among those that run on its agent."""
    agent = AgentId.parse(watched.agent)
    return [one for one in running if any(selector.takes(agent, one) for selector in watched.processes)]


def total(processes: Iterable[LiveProcess]) -> Mapping[str, float]:
    """What they consume together. One that has not been sampled yet counts as a process and as nothing else."""
    sums: dict[str, float] = {"processes": 0.0}
    for one in processes:
        for key, value in (one.values or {"processes": 1.0}).items():
            sums[key] = sums.get(key, 0.0) + value
    return sums


def broken(watched: Watched, sums: Mapping[str, float]) -> Sequence[bool]:
    """Which of a monitor's thresholds are beyond now."""
    return [threshold.is_broken_by(sums.get(threshold.metric)) for threshold in watched.thresholds]


def sentence(watched: Watched, threshold: Threshold, value: str) -> str:
    """What is said of a threshold that is broken; `value` when that began."""
    return f"{threshold.metric} of monitor {watched.name} on agent {watched.agent} is {value}: {threshold}"
