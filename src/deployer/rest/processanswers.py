"""A process as clients see it (seed 000): while it runs, and after its end."""

from typing import Protocol

import msgspec
from msgspec import Struct

from deployer.model.processes import ProcessName, job_of
from deployer.protocol.ids import AgentId
from deployer.protocol.processes import LiveProcess
from deployer.protocol.results import Result
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.references import AgentReference, JobReference, UserReference, job_reference, user_reference
from deployer.stores.jobs import JobDocument

UNKNOWN = "unknown"
"""The domain, or name, of what has none."""


class ProcessAnswer(Struct, frozen=True, kw_only=True):
    """One run of a task. `user` is who submitted its job; it and `job` are null for what the agent starts by itself.

    `values`: what it consumed, with all that it has started, in the `step` seconds from `epoch` (ms), `at`; nulls and
    none while it has not been sampled. `heard`: when its agent told of it last. `time`: how long it ran, ms. The nulls
    at the end are filled when it has ended.
    """

    id: str
    href: str
    pid: str
    state: str
    user: UserReference | None
    agent: AgentReference
    job: JobReference | None
    domain: str
    name: str
    run: int
    started: str
    heard: str | None = None
    values: dict[str, float] = {}
    at: str | None = None
    epoch: int | None = None
    step: int | None = None
    ended: str | None = None
    time: int | None = None
    code: str | None = None
    reason: str | None = None
    exit_status: int | None = None
    signal: str | None = None


class _Asked(Protocol):
    """What of a query is about single processes."""

    @property
    def domain(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def user(self) -> str | None: ...
    @property
    def job(self) -> str | None: ...
    @property
    def gid(self) -> int | None: ...
    @property
    def nid(self) -> int | None: ...


class _Named(Struct, frozen=True):
    """Of a command's arguments."""

    domain: str = ""
    name: str = ""


def is_asked_for(one: ProcessAnswer, query: _Asked) -> bool:
    """Whether a process is one of those that a query wants."""
    pairs = (
        (query.domain, one.domain),
        (query.name, one.name),
        (query.user, one.user and one.user.id),
        (query.job, one.job and one.job.id),
        (query.gid, one.agent.gid),
        (query.nid, one.agent.nid),
    )
    return all(wanted in {None, its} for wanted, its in pairs)


def live_process(agent: AgentId, one: LiveProcess, user: str | None, heard: int) -> ProcessAnswer:
    """One that runs."""
    id_, job = str(ProcessName(one.task, agent, one.run)), job_of(one.task)
    return ProcessAnswer(
        id=id_,
        href=process_href(id_),
        pid=str(one.pid),
        state="running",
        user=user_reference(user) if user else None,
        agent=AgentReference.to(agent),
        job=job_reference(job) if job else None,
        domain=one.domain or UNKNOWN,
        name=one.name or UNKNOWN,
        run=one.run,
        started=iso(one.started),
        heard=iso(heard),
        values=one.values,
        at=iso(one.at * 1000) if one.step else None,
        epoch=one.at * 1000 if one.step else None,
        step=one.step or None,
    )


def ended_process(job: JobDocument, task: str, agent: AgentId, run: Result) -> ProcessAnswer:
    """One that has ended."""
    id_, named = str(ProcessName(task, agent, run.run)), _named_by(job)
    return ProcessAnswer(
        id=id_,
        href=process_href(id_),
        pid=str(run.pid),
        state="ended",
        user=user_reference(job.user) if job.user else None,
        agent=AgentReference.to(agent),
        job=job_reference(job.id),
        domain=named.domain or UNKNOWN,
        name=named.name or UNKNOWN,
        run=run.run,
        started=iso(run.starttime),
        ended=iso_or_none(run.starttime + run.time),
        time=run.time,
        code=run.code,
        reason=run.reason,
        exit_status=run.exit_status,
        signal=run.signal,
    )


def process_href(id_: str) -> str:
    """Where a process is found."""
    return f"/api/v1/processes/{id_}"


def _named_by(job: JobDocument) -> _Named:
    try:
        return _arguments(job.args)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Named()


_arguments = msgspec.json.Decoder(_Named).decode
