"""Jobs: submit, list, look, await, cancel; their tasks."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from deployer.dispatch.jobs import Dispatcher
from deployer.errors import MalformedError, NotFoundError
from deployer.kit.threads import Threads
from deployer.model.access import Caller, Permission
from deployer.model.jobs import job_state
from deployer.protocol import codes, resultdata
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.protocol.states import TASK_STATES
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.answers import Answer
from deployer.rest.endpoint import endpoint
from deployer.rest.jobrequests import JobRequest, JobRequests
from deployer.rest.moments import Moment, Span
from deployer.rest.paging import Cursor, Limit, PageQuery
from deployer.rest.parts import Parts
from deployer.rest.references import (
    AgentReference,
    ScheduleReference,
    UserReference,
    schedule_reference,
    user_reference,
)
from deployer.stores.agents import Agents
from deployer.stores.jobs import JobRecord, Places, TaskRecord

MAX_WAIT_S = 60.0
WAITING = frozenset({"QUEUED", "SENT"})
FAR_MS = 9_999_999_999_999
"""Epoch ms of the year 2286, the last of 13 digits."""

Text = Annotated[str, Meta(max_length=1000)]
_PLACE = re.compile(r"[0-9]{1,13}~[A-Za-z0-9._-]{1,128}", re.ASCII)


class TasksAnswer(Struct, frozen=True):
    """How a job's tasks stand, and where they are."""

    href: str
    counts: dict[str, int]


class JobAnswer(Struct, frozen=True, kw_only=True):
    """A job as clients see it. `code` is CORRUPT where its record at the master is damaged, else null."""

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

    `result` is the value of `data`, null when it has none.
    """

    id: str
    agent: AgentReference
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


class WaitQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for the job's end, in seconds; more than 60 counts as 60."""

    wait: Annotated[float, Meta(ge=0)] = 0.0


class JobsQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """How many, from where; in which state, of whom, with which command, on which agent, made when."""

    limit: Limit = 100
    cursor: Cursor | None = None
    state: Literal["BLOCKED", "QUEUED", "SENT", "RUNNING", "OK", "ERROR", "TIMEOUT", "KILLED"] | None = None
    user: Text | None = None
    cmd: Text | None = None
    target: Text | None = None
    schedule: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    sort: Literal["created", "-created"] = "-created"

    def fits(self, job: JobAnswer) -> bool:
        """Whether a job is among those that are asked for, as far as its place does not tell."""
        asked = (
            (self.state, job.state),
            (self.user, job.user and job.user.id),
            (self.cmd, job.cmd),
            (self.target, job.target),
            (self.schedule, job.schedule and job.schedule.id),
        )
        return all(wanted in {None, its} for wanted, its in asked)


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


class JobRoutes:
    """`/api/v1/jobs`."""

    def __init__(self, dispatcher: Dispatcher, requests: JobRequests, agents: Agents, values: Values) -> None:
        self._values = values
        self._agents = agents
        self._dispatcher = dispatcher
        self._requests = requests

    @endpoint(
        "POST",
        "/api/v1/jobs",
        needs=Permission.EXECUTE,
        returns=JobAnswer,
        body=JobRequest,
        query=WaitQuery,
        statuses=(202, 200),
    )
    async def submit(self, caller: Caller, body: JobRequest, query: WaitQuery) -> Answer:
        """Accept a job: 202 when it is new, 200 when this id had the same body before; with `wait`, when final."""
        wanted = await self._requests.check(caller, body)
        if query.wait:
            record, new = await self._dispatcher.submit_and_wait(caller, wanted, min(query.wait, MAX_WAIT_S))
        else:
            record, new = await self._dispatcher.submit(caller, wanted)
        answer = job_answer(record)
        return Answer(answer, 202 if new else 200, (("location", answer.href),))

    @endpoint("GET", "/api/v1/jobs", needs=Permission.READ, returns=JobPage, query=JobsQuery)
    async def list_all(self, caller: Caller, query: JobsQuery) -> JobPage:
        """Jobs on agents that the caller may use, newest first. A page may hold fewer than `limit` and have a next."""
        found = await self._dispatcher.listed(caller.company, _places(query), query.limit + 1)
        more = len(found) > query.limit
        page = found[: query.limit]
        answers = [job_answer(record) for _, record in page]
        seen = [one for one, (_, record) in zip(answers, page, strict=True) if is_seen(caller, record)]
        return JobPage([one for one in seen if query.fits(one)], page[-1][0].replace(":", "~", 1) if more else None)

    @endpoint("GET", "/api/v1/jobs/<job>", needs=Permission.READ, returns=JobAnswer, query=WaitQuery)
    async def show(self, caller: Caller, job: str, query: WaitQuery) -> JobAnswer:
        """One job; with `wait`, once it is final or the time is over."""
        await self._require_seen(caller, job)
        return job_answer(await self._dispatcher.job(caller.company, known_id(job), min(query.wait, MAX_WAIT_S)))

    @endpoint("DELETE", "/api/v1/jobs/<job>", needs=Permission.EXECUTE, returns=JobAnswer, statuses=(202,))
    async def cancel(self, caller: Caller, job: str) -> Answer:
        """End what has not started, kill what runs. The record stays until its retention."""
        await self._require_seen(caller, job)
        return Answer(job_answer(await self._dispatcher.cancel(caller, known_id(job))), 202)

    @endpoint("GET", "/api/v1/jobs/<job>/tasks", needs=Permission.READ, returns=TaskPage, query=PageQuery)
    async def tasks(self, caller: Caller, job: str, query: PageQuery) -> TaskPage:
        """A job's tasks: one for each agent. A page may hold fewer than `limit` and have a next."""
        await self._require_seen(caller, job)
        parts = Parts(query.cursor, query.limit)
        while parts.wants:
            found = await self._dispatcher.tasks(caller.company, known_id(job), parts.at, parts.wants)
            for one in parts.take(found, [None if one is None else one.result for one in found]):
                if one is not None and caller.sees(one.agent):
                    answer = task_answer(job, one, await self._values.of(one.result))
                    parts.items.append(await self._with_reason(caller, one, answer))
        return TaskPage(parts.items, parts.next)

    @endpoint("GET", "/api/v1/jobs/<job>/tasks/<task>/runs", needs=Permission.READ, returns=RunPage, query=PageQuery)
    async def runs(self, caller: Caller, job: str, task: str, query: PageQuery) -> RunPage:
        """Finished runs of a task, the last hundred. `task` is its agent, as `1:1`, or `<task id>@1:1`.

        A page may hold fewer than `limit` and have a next.
        """
        id_, agent = _task_name(known_id(job), task)
        if not caller.sees(agent):
            raise NotFoundError("this task does not exist any more")
        parts = Parts(query.cursor, query.limit)
        while parts.wants:
            found = await self._dispatcher.runs(caller.company, id_, agent, parts.at, parts.wants)
            for one in filter(None, parts.take(found, found)):
                parts.items.append(_run(one, await self._values.of(one)))
        return RunPage(parts.items, parts.next)

    async def _with_reason(self, caller: Caller, task: TaskRecord, answer: TaskAnswer) -> TaskAnswer:
        """What waits says why, where its agent is away."""
        if task.state not in WAITING:
            return answer
        try:
            agent = await self._agents.agent(caller.company, task.agent)
        except NotFoundError:
            return answer
        if agent.state == "online":
            return answer
        since = "" if agent.last_seen is None else f", last heard of at {iso(agent.last_seen)}"
        return msgspec.structs.replace(answer, reason=f"its agent is {agent.state}{since}")

    async def _require_seen(self, caller: Caller, job: str) -> None:
        if caller.agents is not None:
            require_seen(caller, await self._dispatcher.job(caller.company, known_id(job)))


def is_seen(caller: Caller, record: JobRecord) -> bool:
    """Whether a job is on an agent that the caller may use; a damaged one is on none."""
    try:
        return caller.agents is None or any(map(caller.sees, record.document.places))
    except ValueError:
        return False


def require_seen(caller: Caller, record: JobRecord) -> None:
    """NotFoundError for a job on an agent that the caller may not use, as for one that does not exist."""
    if not is_seen(caller, record):
        raise NotFoundError("this job does not exist")


def known_id(job: str) -> str:
    """The id in a path: what cannot be one does not exist."""
    if len(job) > 128 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in job):  # noqa: PLR2004 (ids.JobId)
        raise NotFoundError("this job does not exist")
    return job


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
        tasks=TasksAnswer(f"{href}/tasks", {state: record.counts.get(state, 0) for state in TASK_STATES}),
        log=f"{href}/log",
    )


def _places(query: JobsQuery) -> Places:
    span = Span.of(query)
    bounds = [None if one is None else min(int(one.timestamp() * 1000), FAR_MS) for one in (span.since, span.until)]
    if any(bound is not None and bound < 0 for bound in bounds):
        raise MalformedError("in the query: there were no jobs before 1970")
    places = Places.between(bounds[0], bounds[1], oldest_first=query.sort == "created")
    if query.cursor is None:
        return places
    if _PLACE.fullmatch(query.cursor) is None:
        raise MalformedError("this cursor was not made here")
    return places.after(query.cursor.replace("~", ":", 1))


def _task_name(job: str, text: str) -> tuple[str, AgentId]:
    """The id and agent of a task in a path."""
    id_, _, agent = text.rpartition("@")
    try:
        return id_ or job, AgentId.parse(agent)
    except ValueError:
        raise NotFoundError("this task does not exist") from None


def _path(job: str, record: TaskRecord) -> str:
    return str(record.agent) if record.id == job else f"{record.id}@{record.agent}"


def _pid(result: Result | None) -> str | None:
    return str(result.pid) if result is not None and result.pid else None


def _run(result: Result, value: Any) -> RunAnswer:
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
        agent=AgentReference.to(record.agent),
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
