"""Jobs: submit, list, look, await, cancel; their tasks."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from deployer.dispatch.jobs import Dispatcher, NewJob
from deployer.errors import InvalidError, MalformedError, NotFoundError
from deployer.model.access import Caller, Permission
from deployer.model.jobs import job_state
from deployer.protocol.codecs import Misfit, convert
from deployer.protocol.commands import ARGUMENTS, MAX_DATA_BYTES
from deployer.protocol.ids import AgentId, JobId
from deployer.protocol.states import TASK_STATES
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.agents import agent_href
from deployer.rest.endpoint import Answer, endpoint
from deployer.rest.paging import Cursor, Limit, PageQuery
from deployer.stores.jobs import JobRecord, TaskRecord

MAX_WAIT_S = 60.0


class JobRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client posts. A `target` is `gid:nid` for now."""

    cmd: Annotated[str, Meta(max_length=128)]
    args: Raw = Raw(b"{}")
    data: str = ""
    target: Annotated[str, Meta(max_length=1000)]
    fanout: Literal["all", "one"] | Annotated[int, Meta(ge=1, le=1_000_000)] = "all"
    id: JobId | None = None
    not_after: Annotated[datetime, Meta(tz=True)] | None = None


class TasksAnswer(Struct, frozen=True):
    """How a job's tasks stand, and where they are."""

    href: str
    counts: dict[str, int]


class JobAnswer(Struct, frozen=True, kw_only=True):
    """A job as clients see it."""

    id: str
    href: str
    state: str
    cmd: str
    args: Raw
    target: str
    user: str
    created: str
    not_after: str
    finished: str | None
    tasks: TasksAnswer
    log: str


class JobPage(Struct, frozen=True):
    """Some jobs, newest first, and where the next ones begin."""

    items: list[JobAnswer]
    next: str | None


class AgentReference(Struct, frozen=True):
    """Which agent a task is on."""

    gid: int
    nid: int
    href: str


class TaskAnswer(Struct, frozen=True, kw_only=True):
    """A task as clients see it. `starttime` and `time` (ms) are the agent's; 0 and null: it never started."""

    id: str
    agent: AgentReference
    state: str
    code: str | None
    reason: str | None
    data: str | None
    level: int
    exit_status: int | None
    signal: str | None
    outcome: str | None
    time: int
    starttime: int
    started: str | None
    sent: str | None
    accepted: str | None
    finished: str | None
    kill_wanted: str | None
    log_dropped: int


class TaskPage(Struct, frozen=True):
    """Some tasks in the order they were made, and where the next ones begin."""

    items: list[TaskAnswer]
    next: str | None


class WaitQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for the job's end, in seconds; more than 60 counts as 60."""

    wait: Annotated[float, Meta(ge=0)] = 0.0


class JobsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How many, from where, and in which state."""

    limit: Limit = 100
    cursor: Cursor | None = None
    state: Literal["BLOCKED", "QUEUED", "SENT", "RUNNING", "OK", "ERROR", "TIMEOUT", "KILLED"] | None = None


class JobRoutes:
    """`/api/v1/jobs`."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    @endpoint("POST", "/api/v1/jobs", needs=Permission.EXECUTE, returns=JobAnswer, body=JobRequest, query=WaitQuery)
    async def submit(self, caller: Caller, body: JobRequest, query: WaitQuery) -> Answer:
        """Accept a job: 202 when it is new, 200 when this id had the same body before; with `wait`, when final."""
        wanted = _checked(body)
        if query.wait:
            record, new = await self._dispatcher.submit_and_wait(caller, wanted, min(query.wait, MAX_WAIT_S))
        else:
            record, new = await self._dispatcher.submit(caller, wanted)
        answer = job_answer(record)
        return Answer(answer, 202 if new else 200, (("location", answer.href),))

    @endpoint("GET", "/api/v1/jobs", needs=Permission.READ, returns=JobPage, query=JobsQuery)
    async def list_all(self, caller: Caller, query: JobsQuery) -> JobPage:
        """The company's jobs, newest first. With `state`, a page may hold fewer than `limit` and still have a next."""
        before = None if query.cursor is None else query.cursor.replace("~", ":", 1)
        found = await self._dispatcher.recent(caller.company, before, query.limit + 1)
        more = len(found) > query.limit
        page = found[: query.limit]
        answers = [job_answer(record) for _, record in page]
        items = [one for one in answers if query.state in {None, one.state}]
        return JobPage(items, page[-1][0].replace(":", "~", 1) if more else None)

    @endpoint("GET", "/api/v1/jobs/<job>", needs=Permission.READ, returns=JobAnswer, query=WaitQuery)
    async def show(self, caller: Caller, job: str, query: WaitQuery) -> JobAnswer:
        """One job; with `wait`, once it is final or the time is over."""
        return job_answer(await self._dispatcher.job(caller.company, known_id(job), min(query.wait, MAX_WAIT_S)))

    @endpoint("DELETE", "/api/v1/jobs/<job>", needs=Permission.EXECUTE, returns=JobAnswer)
    async def cancel(self, caller: Caller, job: str) -> Answer:
        """End what has not started, kill what runs. The record stays until its retention."""
        return Answer(job_answer(await self._dispatcher.cancel(caller, known_id(job))), 202)

    @endpoint("GET", "/api/v1/jobs/<job>/tasks", needs=Permission.READ, returns=TaskPage, query=PageQuery)
    async def tasks(self, caller: Caller, job: str, query: PageQuery) -> TaskPage:
        """A job's tasks: one for each agent."""
        start = _offset(query.cursor)
        found = await self._dispatcher.tasks(caller.company, known_id(job), start, query.limit + 1)
        more = len(found) > query.limit
        return TaskPage([_task(one) for one in found[: query.limit]], str(start + query.limit) if more else None)


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
        cmd=document.cmd,
        args=document.args,
        target=document.target,
        user=document.user,
        created=iso(document.created),
        not_after=iso(document.not_after),
        finished=iso_or_none(record.finished),
        tasks=TasksAnswer(f"{href}/tasks", {state: record.counts.get(state, 0) for state in TASK_STATES}),
        log=f"{href}/log",
    )


def _checked(body: JobRequest) -> NewJob:
    kind = ARGUMENTS.get(body.cmd)
    if kind is None:
        raise InvalidError("/cmd", f"no command is named {body.cmd[:64]!r}", "unknown_command")
    if len(body.data.encode("utf-8", "surrogatepass")) > MAX_DATA_BYTES:
        raise InvalidError("/data", f"longer than {MAX_DATA_BYTES} bytes")
    try:
        args = convert(kind, body.args)
    except Misfit as error:
        raise InvalidError(f"/args{error.pointer}", error.message) from None
    return NewJob(
        id=body.id,
        cmd=body.cmd,
        args=args,
        data=body.data,
        target=_target(body.target),
        not_after=None if body.not_after is None else int(body.not_after.astimezone(UTC).timestamp() * 1000),
    )


def _target(text: str) -> AgentId:
    try:
        return AgentId.parse(text)
    except ValueError as error:
        raise InvalidError("/target", str(error)) from None


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):  # noqa: PLR2004 (more tasks than any job has)
        raise MalformedError("this cursor was not made here")
    return int(cursor)


def _task(record: TaskRecord) -> TaskAnswer:
    result = record.result
    return TaskAnswer(
        id=record.id,
        agent=AgentReference(record.agent.gid, record.agent.nid, agent_href(record.agent)),
        state=record.state,
        code=result.code if result else None,
        reason=result.reason if result else None,
        data=result.data if result else None,
        level=result.level if result else 0,
        exit_status=result.exit_status if result else None,
        signal=result.signal if result else None,
        outcome=result.outcome if result else None,
        time=result.time if result else 0,
        starttime=result.starttime if result else 0,
        started=iso(result.starttime) if result and result.starttime else None,
        sent=iso_or_none(record.sent),
        accepted=iso_or_none(record.accepted),
        finished=iso_or_none(record.finished),
        kill_wanted=iso_or_none(record.kill_wanted),
        log_dropped=record.log_dropped,
    )
