"""What a client gets: the fields that programs use, and the whole document as the master sent it.

They are values and know no client; what the synchronous client gives can also fetch what it refers to (`models`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

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
    def read(cls, document: Document) -> Self:
        """From JSON."""
        identity, state, cmd = (str(document.get(name) or "") for name in ("id", "state", "cmd"))
        target, created = (str(document.get(name) or "") for name in ("target", "created"))
        counts = _counts(_part(document, "tasks").get("counts"))
        return cls(identity, state, cmd, target, created, counts, document)


@dataclass(frozen=True, slots=True)
class Task:
    """A job on one agent."""

    id: str
    agent_id: str
    state: str
    code: str | None
    reason: str | None
    data: str
    level: int
    exit_status: int | None
    document: Document

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        return cls(
            id=str(document.get("id", "")),
            agent_id=_number(document),
            state=str(document.get("state", "")),
            code=document.get("code"),
            reason=document.get("reason"),
            data=str(document.get("data") or ""),
            level=_whole(document.get("level")),
            exit_status=document.get("exit_status"),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as the master knows it."""

    gid: int
    nid: int
    state: str
    hostname: str
    last_seen: str
    version: str
    document: Document

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        gid, nid = _whole(document.get("gid")), _whole(document.get("nid"))
        state, seen, version = (str(document.get(name) or "") for name in ("state", "last_seen", "version"))
        return cls(gid, nid, state, str(document.get("hostname") or ""), seen, version, document)


@dataclass(frozen=True, slots=True)
class Host:
    """What the machine under an agent is. `memory`: GB; None for what it has not told yet."""

    id: str
    name: str
    state: str
    cpu: str | None
    cores: int | None
    memory: float | None
    os: str | None
    last_seen: str
    document: Document

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        identity, name, state = (str(document.get(key) or "") for key in ("id", "name", "state"))
        return cls(
            id=identity,
            name=name,
            state=state,
            cpu=document.get("cpu"),
            cores=document.get("cores"),
            memory=document.get("memory"),
            os=document.get("os"),
            last_seen=str(document.get("last_seen") or ""),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class Process:
    """A process: what it consumed in the `step` seconds from `epoch` (ms). what is not known is empty.

    `status`: of its exit, or the signal that ended it.
    """

    id: str
    agent_id: str
    pid: str
    user_id: str
    state: str
    started: str
    ended: str
    status: str
    code: str
    domain: str
    name: str
    values: Mapping[str, float]
    epoch: int | None
    step: int | None
    document: Document

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        return cls(
            id=str(document.get("id") or ""),
            agent_id=_number(document),
            pid=str(document.get("pid") or ""),
            user_id=str(_part(document, "user").get("id") or ""),
            state=str(document.get("state") or ""),
            started=str(document.get("started") or ""),
            ended=str(document.get("ended") or ""),
            status=str(document.get("signal") or _text(document.get("exit_status"))),
            code=str(document.get("code") or ""),
            domain=str(document.get("domain") or ""),
            name=str(document.get("name") or ""),
            values=_numbers(document.get("values")),
            epoch=document.get("epoch"),
            step=document.get("step"),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class AgentStats:
    """What one agent's host consumes: numbers of the `step` seconds from `epoch` (ms), None when there are none."""

    agent_id: str
    host: Mapping[str, float]
    epoch: int | None
    step: int | None
    document: Document

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        return cls(
            _number(document), _numbers(document.get("host")), document.get("epoch"), document.get("step"), document
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One line or block of output."""

    agent: str
    level: int
    data: str
    document: Document

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        agent, data = str(document.get("agent") or ""), str(document.get("data") or "")
        return cls(agent, _whole(document.get("level")), data, document)


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many messages were dropped here: the job's share at the master was full."""

    count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The log is complete; the job as it ended."""

    job: Job


def _number(document: Document) -> str:
    """The agent that something is on, as `gid:nid`."""
    agent = _part(document, "agent")
    return f"{agent.get('gid')}:{agent.get('nid')}"


def _part(document: Document, name: str) -> Document:
    """An object in it; an empty one where there is something else."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _whole(value: Any) -> int:
    """A whole number; 0 for what is none."""
    return value if isinstance(value, int) else 0


def _counts(values: Any) -> Mapping[str, int]:
    return {key: _whole(value) for key, value in values.items()} if isinstance(values, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _numbers(values: Any) -> Mapping[str, float]:
    """What of it is a number."""
    found = values if isinstance(values, dict) else {}
    return {key: value for key, value in found.items() if isinstance(value, int | float)}
