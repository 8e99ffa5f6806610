"""What the delivery scripts promise (RELIABILITY 2), as plain values: no Redis, no clock, no journal.

Written from the rules, not from the Lua. A lease ends when the test says so; which of several is first is their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

FINAL = frozenset({"OK", "ERROR", "TIMEOUT", "KILLED"})
WAITING = frozenset({"QUEUED", "SENT"})
KILLS_A_CLAIM = 100
USUAL = "queue"
CONTROL = "control"
HIGH = "high"
LOW = "low"
PRIORITIES = {HIGH: 5, LOW: -5}
"""What goes before and behind the usual ones."""


@dataclass(frozen=True)
class TaskName:
    """A task: its id and its agent."""

    id: str
    agent: str

    def __str__(self) -> str:
        return f"{self.id}@{self.agent}"

    @property
    def kill(self) -> "TaskName":
        """The command that kills it."""
        return TaskName(f"{self.id}:kill", self.agent)


@dataclass
class Task:
    """A task as it must stand."""

    job: str
    wire: bytes
    list: str
    rank: int = 0
    state: str = "QUEUED"
    by: str | None = None
    result: bytes | None = None
    runs: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Job:
    """A job: what its id stands for, when it expires, its tasks in order, who gets its results."""

    sha: str
    not_after: int
    tasks: list[TaskName]
    reply: str


@dataclass
class Agent:
    """What an agent's part of Redis must be. `inflight`: in the order in which they were sent, and whether overdue."""

    company: str
    epoch: int = 0
    instance: str | None = None
    alive: bool = False
    lists: dict[str, list[str]] = field(default_factory=lambda: {USUAL: [], CONTROL: [], HIGH: [], LOW: []})
    ranks: int = 0
    rank_of: dict[str, int] = field(default_factory=dict)
    inflight: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """Who says something."""

    agent: str
    epoch: int
    instance: str


@dataclass(frozen=True)
class Limits:
    """What a submission must fit in."""

    queue: int
    open: int


class Model:
    """All of a company's work."""

    def __init__(self, company: str, agents: dict[str, str]) -> None:
        self.company = company
        self.agents = {name: Agent(of) for name, of in agents.items()}
        self.jobs: dict[str, Job] = {}
        self.tasks: dict[TaskName, Task] = {}
        self.replies: dict[str, list[bytes]] = {}

    def open_tasks(self) -> int:
        """How many tasks of jobs are not final."""
        return sum(1 for task in self.tasks.values() if task.job and task.state not in FINAL)

    def submit(self, id_: str, job: Job, wires: Sequence[bytes], place: str, limits: Limits) -> str:
        """A job with its tasks, all or nothing."""
        if (known := self.jobs.get(id_)) is not None:
            return "DUP" if known.sha == job.sha else "CONFLICT"
        if self.open_tasks() + len(job.tasks) > limits.open:
            return "FULL"
        for name in job.tasks:
            if self.agents[name.agent].company != self.company:
                return "NO_AGENT"
            lists = self.agents[name.agent].lists
            if sum(len(its) for at, its in lists.items() if (at == CONTROL) == (place == CONTROL)) >= limits.queue:
                return "FULL"
        self.jobs[id_] = job
        for name, wire in zip(job.tasks, wires, strict=True):
            one = self.agents[name.agent]
            one.ranks += place in PRIORITIES
            self.tasks[name] = Task(id_, wire, place, one.ranks)
            self._put(name, place)
        return "OK"

    def _put(self, name: TaskName, place: str) -> None:
        """At the end; what has a priority stands where it came first, and once."""
        its = self.agents[name.agent].lists[place]
        if place in PRIORITIES:
            for at in PRIORITIES:
                self.agents[name.agent].lists[at] = [one for one in self.agents[name.agent].lists[at] if one != name.id]
            its = self.agents[name.agent].lists[place]
        its.append(name.id)
        if place in PRIORITIES:  # what is left of a job that was retired keeps its place, too
            rank_of = self.agents[name.agent].rank_of
            rank_of[name.id] = self.tasks[name].rank
            its.sort(key=lambda id_: rank_of[id_])

    def open_session(self, agent: str, instance: str) -> Session | None:
        """The new session; None while another instance lives."""
        one = self.agents[agent]
        if one.alive and one.instance not in {None, instance}:
            return None
        one.epoch += 1
        one.instance, one.alive = instance, True
        one.inflight = dict.fromkeys(one.inflight, True)
        return Session(agent, one.epoch, instance)

    def is_stale(self, session: Session) -> bool:
        """Whether a newer session has taken over; else the agent was heard now."""
        one = self.agents[session.agent]
        if one.epoch != session.epoch:
            return True
        one.alive = True
        return False

    def claim(self, session: Session, most: int) -> list[bytes] | None:
        """What is sent; None when the session is stale."""
        if self.is_stale(session):
            return None
        one = self.agents[session.agent]
        self._take_back(session.agent, one)
        kills = self._take(session.agent, one, CONTROL, KILLS_A_CLAIM)
        taken: list[bytes] = []
        for place in (HIGH, USUAL, LOW):
            taken += self._take(session.agent, one, place, most - len(taken))
        return kills + taken

    def _take_back(self, name: str, one: Agent) -> None:
        overdue = [id_ for id_, due in one.inflight.items() if due]
        for id_ in reversed(overdue):
            del one.inflight[id_]
            task = self.tasks.get(TaskName(id_, name))
            if task is not None and task.state == "SENT":
                task.state = "QUEUED"
                if task.list in PRIORITIES:
                    self._put(TaskName(id_, name), task.list)
                else:
                    one.lists[task.list].insert(0, id_)

    def _take(self, name: str, one: Agent, place: str, most: int) -> list[bytes]:
        taken: list[bytes] = []
        while len(taken) < most and one.lists[place]:
            id_ = one.lists[place].pop(0)
            task = self.tasks.get(TaskName(id_, name))
            if task is not None and task.state == "QUEUED":
                task.state = "SENT"
                one.inflight.pop(id_, None)
                one.inflight[id_] = False
                taken.append(task.wire)
        return taken

    def lapse(self, agent: str) -> None:
        """Time passes: all leases of the agent end, and it has not been heard for long."""
        one = self.agents[agent]
        one.inflight = dict.fromkeys(one.inflight, True)
        one.alive = False

    def accept(self, session: Session, id_: str) -> str | None:
        """The verdict; None when the session is stale."""
        if self.is_stale(session):
            return None
        self.agents[session.agent].inflight.pop(id_, None)
        task = self.tasks.get(TaskName(id_, session.agent))
        if task is None:
            return "UNKNOWN"
        mine = task.by == session.instance
        if task.state in FINAL:
            return "DONE" if mine else "CANCELLED"
        if task.state == "RUNNING":
            return "START" if mine else "CONFLICT"
        task.state, task.by = "RUNNING", session.instance
        return "START"

    def finish(self, session: Session, id_: str, state: str, result: bytes) -> str | None:
        """The receipt; None when the session is stale."""
        if self.is_stale(session):
            return None
        name = TaskName(id_, session.agent)
        task = self.tasks.get(name)
        if task is None:
            return "UNKNOWN"
        if task.state in FINAL:
            return "DUP" if (task.by, task.result) == (session.instance, result) else "CONFLICT"
        if task.state != "RUNNING" or task.by != session.instance:
            return "CONFLICT"
        self._end(name, state, result)
        return "OK"

    def record_run(self, session: Session, id_: str, run: int, record: bytes) -> str | None:
        """The receipt; None when the session is stale."""
        if self.is_stale(session):
            return None
        name = TaskName(id_, session.agent)
        task = self.tasks.get(name)
        if task is None:
            return "UNKNOWN"
        if task.by != session.instance:
            return "CONFLICT"
        if run in task.runs:
            return "DUP" if task.runs[run] == record else "CONFLICT"
        task.runs[run] = record
        self._reply(name, record)
        return "OK"

    def cancel(self, name: TaskName, result: bytes, kill_wire: bytes) -> str:
        """What waits ends, what runs gets its kill once."""
        task = self.tasks.get(name)
        if task is None:
            return "UNKNOWN"
        if task.state in FINAL:
            return "FINAL"
        if task.state == "RUNNING":
            if name.kill not in self.tasks:
                self.tasks[name.kill] = Task("", kill_wire, CONTROL)
                self.agents[name.agent].lists[CONTROL].append(name.kill.id)
            return "KILLING"
        self.agents[name.agent].inflight.pop(name.id, None)
        self._end(name, "KILLED", result)
        return "CANCELLED"

    def expire(self, now: int, result: bytes) -> None:
        """What has not started by its time ends."""
        for job in self.jobs.values():
            for name in job.tasks:
                if job.not_after <= now and self.tasks[name].state in WAITING:
                    self._end(name, "ERROR", result)

    def finished(self) -> set[str]:
        """Jobs whose tasks are all final."""
        return {id_ for id_, job in self.jobs.items() if all(self.tasks[name].state in FINAL for name in job.tasks)}

    def forget(self, job: str) -> None:
        """A finished job was retired."""
        for name in self.jobs.pop(job).tasks:
            del self.tasks[name]

    def _end(self, name: TaskName, state: str, result: bytes) -> None:
        self.tasks[name].state, self.tasks[name].result = state, result
        self._reply(name, result)

    def _reply(self, name: TaskName, result: bytes) -> None:
        job = self.jobs.get(self.tasks[name].job)
        if job is not None and job.reply:
            self.replies.setdefault(job.reply, []).append(result)
