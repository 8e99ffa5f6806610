"""What a client gets: the fields that programs use, and the whole document as the master sent it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.protocol.states import FINAL

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked for, and how far it is."""

    id: str
    state: str
    cmd: str
    target: str
    created: str
    counts: Mapping[str, int]
    document: Document

    @property
    def final(self) -> bool:
        """Nothing will change any more."""
        return self.state in FINAL

    @classmethod
    def read(cls, document: Document) -> "Job":
        """From JSON."""
        identity, state, cmd = (str(document.get(name) or "") for name in ("id", "state", "cmd"))
        target, created = (str(document.get(name) or "") for name in ("target", "created"))
        counts = (document.get("tasks") or {}).get("counts") or {}
        return cls(identity, state, cmd, target, created, counts, document)


@dataclass(frozen=True, slots=True)
class Task:
    """A job on one agent."""

    id: str
    agent: str
    state: str
    code: str | None
    reason: str | None
    data: str
    level: int
    exit_status: int | None
    document: Document

    @classmethod
    def read(cls, document: Document) -> "Task":
        """From JSON."""
        agent = document.get("agent") or {}
        return cls(
            id=str(document.get("id", "")),
            agent=f"{agent.get('gid')}:{agent.get('nid')}",
            state=str(document.get("state", "")),
            code=document.get("code"),
            reason=document.get("reason"),
            data=str(document.get("data") or ""),
            level=int(document.get("level") or 0),
            exit_status=document.get("exit_status"),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as the master knows it."""

    gid: int
    nid: int
    state: str
    last_seen: str
    version: str
    document: Document

    @classmethod
    def read(cls, document: Document) -> "Agent":
        """From JSON."""
        gid, nid = int(document.get("gid") or 0), int(document.get("nid") or 0)
        state, seen, version = (str(document.get(name) or "") for name in ("state", "last_seen", "version"))
        return cls(gid, nid, state, seen, version, document)


@dataclass(frozen=True, slots=True)
class Message:
    """One line or block of output."""

    agent: str
    level: int
    data: str
    document: Document

    @classmethod
    def read(cls, document: Document) -> "Message":
        """From JSON."""
        agent, data = str(document.get("agent") or ""), str(document.get("data") or "")
        return cls(agent, int(document.get("level") or 0), data, document)


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many messages were dropped here: the job's share at the master was full."""

    count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The log is complete; the job as it ended."""

    job: Job
