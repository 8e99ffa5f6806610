"""Jobs: submit, list, look, await, cancel; their tasks."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from deployer.dispatch.jobs import Dispatcher
from deployer.errors import MalformedError, NotFoundError
from deployer.model.access import Caller, Permission
from deployer.protocol.ids import AgentId
from deployer.protocol.times import iso
from deployer.rest.answers import Answer
from deployer.rest.endpoint import endpoint
from deployer.rest.jobanswers import (
    JobAnswer,
    JobPage,
    RunPage,
    TaskPage,
    Values,
    job_answer,
    run_answer,
    task_answer,
)
from deployer.rest.jobrequests import JobRequest, JobRequests
from deployer.rest.jobsight import is_seen, known_id, require_all, require_seen
from deployer.rest.moments import Moment, Span
from deployer.rest.paging import Cursor, Limit, PageQuery
from deployer.rest.parts import Parts
from deployer.stores.agents import AgentRecord, Agents
from deployer.stores.jobs import Places, TaskRecord

MAX_WAIT_S = 60.0
WAITING = frozenset({"QUEUED", "SENT"})
FAR_MS = 9_999_999_999_999
"""Epoch ms of the year 2286, the last of 13 digits."""

Text = Annotated[str, Meta(max_length=1000)]
_PLACE = re.compile(r"[0-9]{1,13}~[A-Za-z0-9._-]{1,128}", re.ASCII)


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
        if caller.agents is not None:
            record = await self._dispatcher.job(caller.company, known_id(job))
            require_seen(caller, record)
            require_all(caller, record)
        return Answer(job_answer(await self._dispatcher.cancel(caller, known_id(job))), 202)

    @endpoint("GET", "/api/v1/jobs/<job>/tasks", needs=Permission.READ, returns=TaskPage, query=PageQuery)
    async def tasks(self, caller: Caller, job: str, query: PageQuery) -> TaskPage:
        """A job's tasks: one for each agent. A page may hold fewer than `limit` and have a next."""
        record = await self._dispatcher.job(caller.company, known_id(job))
        require_seen(caller, record)
        blocked = self._dispatcher.waits(record)
        parts = Parts(query.cursor, query.limit)
        while parts.wants:
            found = await self._dispatcher.tasks(caller.company, known_id(job), parts.at, parts.wants)
            some = parts.take(found, [None if one is None else one.result for one in found])
            seen = [one for one in some if one is not None and (one.agent is None or caller.sees(one.agent))]
            away = await self._away(caller.company, seen)
            for one in seen:
                answer = task_answer(job, one, await self._values.of(one.result))
                reason = blocked if one.state == "BLOCKED" else away.get(one.agent) if one.state in WAITING else None
                parts.items.append(answer if reason is None else msgspec.structs.replace(answer, reason=reason))
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
                parts.items.append(run_answer(one, await self._values.of(one)))
        return RunPage(parts.items, parts.next)

    async def _away(self, company: str, tasks: Sequence[TaskRecord]) -> dict[AgentId | None, str]:
        """Why tasks wait whose agents are away."""
        ids = dict.fromkeys(one.agent for one in tasks if one.state in WAITING and one.agent is not None)
        found = await self._agents.those(company, list(ids)) if ids else []
        return {one.id: f"its agent is {one.state}{_since(one)}" for one in found if one.state != "online"}

    async def _require_seen(self, caller: Caller, job: str) -> None:
        if caller.agents is not None:
            require_seen(caller, await self._dispatcher.job(caller.company, known_id(job)))


def _since(agent: AgentRecord) -> str:
    return "" if agent.last_seen is None else f", last heard of at {iso(agent.last_seen)}"


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
