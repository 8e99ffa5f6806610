"""How processes are named, and where a list of them goes on. Pure.

A process is one run of a task on an agent: `<task>@<gid>:<nid>.<run>`. What an agent starts by itself is of a task
`:startup:<name>`, which is no job's.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from deployer.errors import MalformedError
from deployer.protocol.ids import MAX_GRID, AgentId
from deployer.protocol.processes import LiveProcess

FOREVER: Final = MAX_GRID
"""Behind everything."""

_NAME = re.compile(r"([A-Za-z0-9._:-]{1,200})@([0-9:]{3,21})\.([1-9][0-9]{0,15})", re.ASCII)
_LIVE = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})(?:\.([0-9]{1,6})\.([0-9a-f]{16}))?", re.ASCII)
_ENDED = re.compile(r"([0-9]{13})~([A-Za-z0-9._-]{1,128})~([0-9]{1,10})", re.ASCII)
_NOT_OURS = "this cursor was not made here"


class ProcessName(Struct, frozen=True):
    """A process by its task, agent and run."""

    task: str
    agent: AgentId
    run: int

    def __str__(self) -> str:
        """The form of paths."""
        return f"{self.task}@{self.agent}.{self.run}"

    @classmethod
    def parse(cls, text: str) -> "ProcessName":
        """Read what `str()` wrote; ValueError for anything else."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is no process")
        return cls(match[1], AgentId.parse(match[2]), int(match[3]))

    @property
    def job(self) -> str:
        """The job of it; empty for what its agent started by itself."""
        return job_of(self.task)


def job_of(task: str) -> str:
    """The job of a task; empty for what an agent started by itself."""
    return task.partition(":")[0]


class LivePlace(Struct, frozen=True):
    """Behind an agent, or behind one of its processes: its index, and a digest that finds it when others have ended."""

    agent: AgentId
    index: int | None = None
    digest: str = ""

    def __str__(self) -> str:
        """The form of cursors."""
        inside = "" if self.index is None else f".{self.index}.{self.digest}"
        return f"{self.agent.gid}.{self.agent.nid}{inside}"

    @classmethod
    def parse(cls, cursor: str) -> "LivePlace":
        """Read what `str()` wrote; MalformedError for anything else."""
        match = _LIVE.fullmatch(cursor)
        if match is None or not all(0 <= int(number) <= MAX_GRID for number in match.group(1, 2)):
            raise MalformedError(_NOT_OURS)
        agent = AgentId(int(match[1]), int(match[2]))
        return cls(agent) if match[3] is None else cls(agent, int(match[3]), match[4])

    @classmethod
    def start(cls, cursor: str | None, gid: int | None, nid: int | None) -> "LivePlace | None":
        """Where a list begins: behind a cursor, or before the only agents that are asked for; None: at the first."""
        if cursor is not None:
            return cls.parse(cursor)
        return None if gid is None else cls(AgentId(gid, (nid or 1) - 1))

    @classmethod
    def at(cls, agent: AgentId, index: int, process: LiveProcess) -> "LivePlace":
        """Behind a process."""
        return cls(agent, index, _digest(process))

    @property
    def before(self) -> AgentId:
        """The number that agents are to come after."""
        return self.agent if self.index is None else AgentId(self.agent.gid, self.agent.nid - 1)

    def rest(self, agent: AgentId, processes: Sequence[LiveProcess]) -> int:
        """The index of the first process of an agent that is behind this place."""
        if self.index is None or agent != self.agent:
            return 0
        return next((index + 1 for index, one in enumerate(processes) if _digest(one) == self.digest), self.index)


class EndedPlace(Struct, frozen=True):
    """Behind so many processes of a job, which is named by its place in the list of jobs."""

    job: str
    index: int

    def __str__(self) -> str:
        """The form of cursors."""
        return f"{self.job.replace(':', '~', 1)}~{self.index}"

    @classmethod
    def parse(cls, cursor: str) -> "EndedPlace":
        """Read what `str()` wrote; MalformedError for anything else."""
        match = _ENDED.fullmatch(cursor)
        if match is None:
            raise MalformedError(_NOT_OURS)
        return cls(f"{match[1]}:{match[2]}", int(match[3]))

    def skipped(self, job: str) -> int:
        """How many processes of a job are before this place."""
        return self.index if job == self.job else 0


def _digest(process: LiveProcess) -> str:
    return hashlib.sha256(f"{process.task}\n{process.run}".encode()).hexdigest()[:16]
