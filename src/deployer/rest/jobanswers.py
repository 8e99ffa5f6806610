"""What clients see of jobs, their tasks and runs."""

from typing import Any

from msgspec import Raw, Struct

from deployer.kit.threads import Threads
from deployer.model.batches import Item
from deployer.model.jobs import job_state
from deployer.model.plans import Requires
from deployer.protocol import codes, resultdata
from deployer.protocol.results import Result
from deployer.protocol.states import TASK_STATES
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.references import (
    AgentReference,
    JobReference,
    ScheduleReference,
    UserReference,
    job_reference,
    schedule_reference,
    user_reference,
)
from deployer.stores.jobs import JobRecord, TaskRecord


class TasksAnswer(Struct, frozen=True):
    """How a job's tasks stand, and where they are."""

    href: str
    counts: dict[str, int]


class DependencyAnswer(Struct, frozen=True):
    """A job that this one waits for, and its end as far as it has come."""

    id: str
    href: str
    on: str
    state: str | None


class ChildrenReference(Struct, frozen=True):
    """Where the jobs are that wait for this one."""

    href: str


class RollingAnswer(Struct, frozen=True):
    """How many tasks at once (null: all), and after how many failures no more begin (null: whatever fails)."""

    size: int | None
    max_failures: int | None


class JobAnswer(Struct, frozen=True, kw_only=True):
    """A job as clients see it. `code` is CORRUPT where its record at the master is damaged, else null.

    `skipped`: how many agents of its target were left out because they were away.
    """

    id: str
    href: str
    state: str
    code: str | None
    cmd: str
    args: Raw
    target: str
    user: UserReference | None
    schedule: ScheduleReference | None
    created: str
    not_after: str
    finished: str | None
    priority: int
    depends_on: list[DependencyAnswer]
    children: ChildrenReference
    rolling: RollingAnswer
    requires: Requires | None
    rerun_of: JobReference | None
    skipped: int
    tasks: TasksAnswer
    log: str


class JobPage(Struct, frozen=True):
    """Some jobs, newest first, and where the next ones begin."""

    items: list[JobAnswer]
    next: str | None


class RunsAnswer(Struct, frozen=True):
    """How many finished runs a task has that goes on, and where the last hundred of them are."""

    href: str
    count: int


class RunAnswer(Struct, frozen=True, kw_only=True):
    """One run of a task. `missed`: periods that passed without one before it."""

    run: int
    state: str
    code: str | None
    reason: str | None
    data: str
    result: Any
    level: int
    exit_status: int | None
    signal: str | None
    outcome: str | None
    pid: str | None
    missed: int
    time: int
    starttime: int
    started: str | None


class RunPage(Struct, frozen=True):
    """Some of the last hundred finished runs, oldest first, and where the next ones begin."""

    items: list[RunAnswer]
    next: str | None


class TaskAnswer(Struct, frozen=True, kw_only=True):
    """A task as clients see it. `starttime`, `time` (ms), `pid` are the agent's, of the last run; 0, null: none was.

    `result` is the value of `data`, null when it has none. `agent`: null while no agent has got it; `item`: of a batch.
    """

    id: str
    agent: AgentReference | None
    item: Item | None
    state: str
    code: str | None
    reason: str | None
    data: str | None
    result: Any
    level: int
    exit_status: int | None
    signal: str | None
    outcome: str | None
    pid: str | None
    time: int
    starttime: int
    started: str | None
    sent: str | None
    accepted: str | None
    finished: str | None
    kill_wanted: str | None
    runs: RunsAnswer
    log_dropped: int


class TaskPage(Struct, frozen=True):
    """Some tasks in the order they were made, and where the next ones begin."""

    items: list[TaskAnswer]
    next: str | None


class Values:
    """What the data of results mean; long ones are read in a thread."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def of(self, result: Result | None) -> Any:
        """The value; None when there is none or it does not parse."""
        if result is None or not result.level:
            return None
        try:
            if resultdata.is_quick(result.level, result.data):
                return resultdata.parse(result.level, result.data)
            return await self._threads.run(resultdata.parse, result.level, result.data)
        except resultdata.BadResult:
            return None


def job_answer(record: JobRecord) -> JobAnswer:
    """A job as clients see it."""
    document = record.document
    href = f"/api/v1/jobs/{document.id}"
    return JobAnswer(
        id=document.id,
        href=href,
        state=job_state(record.counts),
        code=codes.CORRUPT if record.damaged else None,
        cmd=document.cmd,
        args=document.args,
        target=document.target,
        user=user_reference(document.user) if document.user else None,
        schedule=schedule_reference(document.schedule) if document.schedule else None,
        created=iso(document.created),
        not_after=iso(document.not_after),
        finished=iso_or_none(record.finished),
        priority=document.priority,
        depends_on=[
            DependencyAnswer(one.id, job_reference(one.id).href, one.on, record.ends.get(one.id))
            for one in document.depends_on
        ],
        children=ChildrenReference(f"{href}/children"),
        rolling=RollingAnswer(document.window or None, document.max_failures or None),
        requires=document.requires,
        rerun_of=job_reference(document.rerun_of) if document.rerun_of else None,
        skipped=document.skipped,
        tasks=TasksAnswer(f"{href}/tasks", {state: record.counts.get(state, 0) for state in TASK_STATES}),
        log=f"{href}/log",
    )


def _path(job: str, record: TaskRecord) -> str:
    if record.agent is None:
        return record.id
    return str(record.agent) if record.id == job else f"{record.id}@{record.agent}"


def _pid(result: Result | None) -> str | None:
    return str(result.pid) if result is not None and result.pid else None


def run_answer(result: Result, value: Any) -> RunAnswer:
    """A run as clients see it; `value`: what its data mean."""
    return RunAnswer(
        run=result.run,
        state=result.state,
        code=result.code,
        reason=result.reason,
        data=result.data,
        result=value,
        level=result.level,
        exit_status=result.exit_status,
        signal=result.signal,
        outcome=result.outcome,
        pid=_pid(result),
        missed=result.missed,
        time=result.time,
        starttime=result.starttime,
        started=iso(result.starttime) if result.starttime else None,
    )


def task_answer(job: str, record: TaskRecord, value: Any = None) -> TaskAnswer:
    """A task as clients see it; `value`: what its data mean."""
    result = record.result
    return TaskAnswer(
        id=record.id,
        agent=None if record.agent is None else AgentReference.to(record.agent),
        item=record.item,
        state=record.state,
        code=result.code if result else None,
        reason=result.reason if result else None,
        data=result.data if result else None,
        result=value,
        level=result.level if result else 0,
        exit_status=result.exit_status if result else None,
        signal=result.signal if result else None,
        outcome=result.outcome if result else None,
        pid=_pid(result),
        time=result.time if result else 0,
        starttime=result.starttime if result else 0,
        started=iso(result.starttime) if result and result.starttime else None,
        sent=iso_or_none(record.sent),
        accepted=iso_or_none(record.accepted),
        finished=iso_or_none(record.finished),
        kill_wanted=iso_or_none(record.kill_wanted),
        runs=RunsAnswer(f"/api/v1/jobs/{job}/tasks/{_path(job, record)}/runs", record.runs),
        log_dropped=record.log_dropped,
    )
