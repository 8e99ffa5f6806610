"""Statistics: what tasks consume and print at level 10, and what the host consumes, once an interval (DESIGN 4).

All processes with the same interval are sampled together, and what they print is aggregated over it. Slots are aligned
to the wall clock; the sample that ends one is taken within a second of its end.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.clock import Clock, WallClock
from deployer.protocol.levels import STATSD
from deployer.protocol.stats import Flush, slot
from deployer_agent.outbox.batch import Source
from deployer_agent.processes.output import Output
from deployer_agent.processes.plan import Emit
from deployer_agent.stats.aggregator import Aggregator
from deployer_agent.stats.host_sampler import HostSampler
from deployer_agent.stats.pace import Pace
from deployer_agent.stats.points import host_points, process_points
from deployer_agent.stats.sampler import Sampler

STEP_S: Final = 30
TICK_S: Final = 1.0
MOST_STEPS: Final = 16
"""So many different intervals; processes that ask for one more have the usual one."""

UNKNOWN: Final = "unknown"
"""The domain, or name, of what has none; empty ones are the host's."""

AGENT: Final = ("deployer", "agent")
HOST: Final = ("", "")

Name = tuple[str, str]


class Subject(Struct, frozen=True):
    """A task whose processes are sampled."""

    name: Name
    step: int


class Interval:
    """What is sampled and aggregated over the same number of seconds."""

    def __init__(self, step: int, clock: Clock, now: float) -> None:
        self.step = step
        self.sampler = Sampler(clock)
        self.aggregator = Aggregator()
        self.slot = slot(now, step)


class Sources(Struct, frozen=True):
    """`pids`: the processes of a task as far as they are known without looking. `own`: those of the agent itself.

    `sampled`: is told what each task consumed in the `step` seconds from `at`.
    """

    pids: Callable[[str], Sequence[int]]
    own: Callable[[], Sequence[int]]
    send: Callable[[Flush], None]
    sampled: Callable[[int, int, Mapping[str, Mapping[str, float]]], None] = lambda *_: None


class Metering:
    """`tick` is to be called once a second. `step`: the usual interval, of the host too."""

    log = Logger()

    def __init__(self, sources: Sources, host: HostSampler, clock: Clock, wall: WallClock, step: int = STEP_S) -> None:
        self._sources = sources
        self._host = host
        self._clock = clock
        self._wall = wall
        self._usual = Interval(step, clock, wall())
        self._intervals = {step: self._usual}
        self._subjects: dict[str, Subject] = {}
        self._names: dict[Name, set[str]] = {}

    def begin(self, task: str, source: Source, step: int) -> Emit:
        """Sample a task from now on, every `step` seconds (0: as usual); what it returns takes what the task prints."""
        name = (source.domain or UNKNOWN, source.name or UNKNOWN)
        interval = self._interval(self._step_of(name) or step or self._usual.step)
        self._subjects[task] = Subject(name, interval.step)
        self._names.setdefault(name, set()).add(task)

        def hear(output: Output) -> None:
            for level, text, _ in output:
                if level == STATSD:
                    interval.aggregator.feed(*name, text)

        return hear

    def end(self, task: str) -> None:
        """Sample it no longer; what it printed counts in the interval that runs."""
        subject = self._subjects.pop(task, None)
        if subject is not None:
            tasks = self._names[subject.name]
            tasks.discard(task)
            if not tasks:
                del self._names[subject.name]

    def name(self, task: str) -> Name:
        """The domain and name under which a task is sampled; empty ones for one that is not."""
        subject = self._subjects.get(task)
        return subject.name if subject is not None else ("", "")

    async def tick(self) -> None:
        """End the intervals whose time has come."""
        now = self._wall()
        for interval in list(self._intervals.values()):
            current = slot(now, interval.step)
            if current != interval.slot:  # earlier, too, when the clock was put back
                ended, interval.slot = interval.slot, current
                await self._end(interval, ended)

    def flush(self) -> None:
        """Send what there is of the intervals that run, since the agent ends; nothing is sampled any more."""
        for interval in self._intervals.values():
            self._send(interval, interval.slot)

    def _step_of(self, name: Name) -> int:
        """What is summed is sampled together: the first task of a name says how often. 0: there is none."""
        tasks = self._names.get(name)
        return self._subjects[next(iter(tasks))].step if tasks else 0

    def _interval(self, step: int) -> Interval:
        known = self._intervals.get(step)
        if known is not None:
            return known
        if len(self._intervals) >= MOST_STEPS:
            self.log.warn(
                "there are {most} different stats_intervals: {step} s counts as usual", most=MOST_STEPS, step=step
            )
            return self._usual
        made = self._intervals[step] = Interval(step, self._clock, self._wall())
        return made

    async def _end(self, interval: Interval, at: int) -> None:
        tasks = {task: subject.name for task, subject in self._subjects.items() if subject.step == interval.step}
        roots = await self._roots(tasks)
        if interval is self._usual:
            tasks, roots = {**tasks, "": AGENT}, {**roots, "": self._sources.own()}
            self._read(interval, HOST, host_points(self._host.sample()))
        try:
            consumed = await interval.sampler.sample(roots)
        except OSError as error:
            self.log.warn("processes could not be sampled: {error}", error=str(error))
            consumed = {}
        each = {task: dict(process_points(its)) for task, its in consumed.items()}
        self._sources.sampled(at, interval.step, each)
        for name, points in _summed(tasks, each).items():
            self._read(interval, name, points.items())
        self._send(interval, at)
        self._forget(interval, tasks)

    async def _roots(self, tasks: Iterable[str]) -> dict[str, Sequence[int]]:
        """The processes to look at, of many tasks: each may be a look into a cgroup."""
        roots: dict[str, Sequence[int]] = {}
        pace = Pace(self._clock)
        for task in tasks:
            if pace.spent:
                await pace.rest()
            if pids := self._sources.pids(task):
                roots[task] = pids
        return roots

    def _read(self, interval: Interval, name: Name, points: Iterable[tuple[str, float]]) -> None:
        for key, value in points:
            interval.aggregator.gauge(*name, key, value, "average")

    def _send(self, interval: Interval, at: int) -> None:
        for flush in interval.aggregator.flush(at, interval.step):
            self._sources.send(flush)

    def _forget(self, interval: Interval, tasks: Mapping[str, Name]) -> None:
        if not tasks and not interval.aggregator.size and interval is not self._usual:
            del self._intervals[interval.step]


def _summed(tasks: Mapping[str, Name], each: Mapping[str, Mapping[str, float]]) -> dict[Name, Mapping[str, float]]:
    """What all tasks of one domain and name consume together."""
    sums: defaultdict[Name, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for task, values in each.items():
        for key, value in values.items():
            sums[tasks[task]][key] += value
    return dict(sums)
