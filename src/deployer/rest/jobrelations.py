"""What jobs have to do with each other, and what becomes of one after it was submitted (seed 002)."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from deployer.dispatch.jobs import Dispatcher, NewJob
from deployer.dispatch.openjobs import OpenJobs
from deployer.errors import InvalidError
from deployer.model.access import Caller, Permission
from deployer.model.batches import Item, Range
from deployer.model.changes import Change
from deployer.model.plans import Planned, Rolling
from deployer.rest.answers import Answer
from deployer.rest.endpoint import endpoint
from deployer.rest.idempotency import Identified
from deployer.rest.jobanswers import JobAnswer, JobPage, job_answer
from deployer.rest.jobrequests import JobRequest, JobRequests
from deployer.rest.jobsight import is_seen, known_id, require_all, require_seen
from deployer.rest.paging import PageQuery
from deployer.rest.parts import offset
from deployer.stores.jobs import JobRecord, TaskRecord


class MoreTasks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tasks for a job that is open: of a batch more items, of any other job the agents of a target."""

    target: Annotated[str, Meta(max_length=1000)] | None = None
    batch: Range | list[Item] | None = None


class Rerun(Identified, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The id of the job that is made, when its client gives one."""


class JobRelations:
    """Children, more tasks, changes, and re-runs."""

    def __init__(self, dispatcher: Dispatcher, open_jobs: OpenJobs, requests: JobRequests) -> None:
        self._dispatcher = dispatcher
        self._open = open_jobs
        self._requests = requests

    @endpoint("GET", "/api/v1/jobs/<job>/children", needs=Permission.READ, returns=JobPage, query=PageQuery)
    async def children(self, caller: Caller, job: str, query: PageQuery) -> JobPage:
        """Jobs that wait for this one, or did, by their ids. A page may hold fewer than `limit` and have a next."""
        await self._seen(caller, job)
        start = offset(query.cursor)
        found, more = await self._dispatcher.children(caller.company, known_id(job), start, query.limit)
        answers = [job_answer(one) for one in found if is_seen(caller, one)]
        return JobPage(answers, str(start + query.limit) if more else None)

    @endpoint(
        "POST",
        "/api/v1/jobs/<job>/tasks",
        needs=Permission.EXECUTE,
        returns=JobAnswer,
        body=MoreTasks,
        statuses=(202,),
    )
    async def add(self, caller: Caller, job: str, body: MoreTasks) -> Answer:
        """Give an open job more tasks of the same command: 202, the job. 409 when it has ended."""
        record = await self._seen(caller, job)
        return Answer(job_answer(await self._open.add(caller, job, await self._planned(caller, record, body))), 202)

    @endpoint("PATCH", "/api/v1/jobs/<job>", needs=Permission.EXECUTE, returns=JobAnswer, body=Change)
    async def change(self, caller: Caller, job: str, body: Change) -> JobAnswer:
        """Change an open job: its priority, and how long each of its processes may run, also those that run.

        DELETE ends it.
        """
        record = await self._seen(caller, job)
        require_all(caller, record)
        return job_answer(record if body == Change() else await self._open.change(caller, job, body))

    @endpoint(
        "POST",
        "/api/v1/jobs/<job>/rerun",
        needs=Permission.EXECUTE,
        returns=JobAnswer,
        body=Rerun,
        statuses=(202, 200),
    )
    async def rerun(self, caller: Caller, job: str, body: Rerun) -> Answer:
        """Make a job of those tasks of another one that have not ended well so far: 202; 200 as POST of jobs has it."""
        record = await self._seen(caller, job)
        every = await self._open.failed(caller.company, job)
        failed = [one for one in every if one.agent is None or caller.sees(one.agent)]
        if not failed:
            raise InvalidError("", "no task of this job has failed so far", "nothing_to_rerun")
        wanted = await self._again(caller, record, failed, body.id)
        again, new = await self._dispatcher.submit(caller, wanted)
        answer = job_answer(again)
        return Answer(answer, 202 if new else 200, (("location", answer.href),))

    async def _again(self, caller: Caller, record: JobRecord, failed: Sequence[TaskRecord], id_: str | None) -> NewJob:
        document = record.document
        request = JobRequest(
            id=id_,
            cmd=document.cmd,
            args=document.args,
            data=await self._open.data(caller.company, document.id),
            target=document.target,
            batch=[one.item for one in failed if one.item is not None] if document.is_batch else None,
            requires=document.requires,
            priority=document.priority,
            rolling=Rolling(size=document.window or "100%", max_failures=document.max_failures or None),
        )
        agents = None if document.is_batch else sorted({one.agent for one in failed if one.agent is not None})
        new = await self._requests.check(caller, request, agents)
        return msgspec.structs.replace(new, rerun_of=document.id)

    async def _planned(self, caller: Caller, record: JobRecord, body: MoreTasks) -> list[Planned]:
        document = record.document
        request = JobRequest(cmd=document.cmd, args=document.args, target=body.target or document.target)
        if not document.is_batch:
            if body.target is None or body.batch is not None:
                raise InvalidError("/target", "this job gets more agents: give `target` alone")
            return [Planned(str(agent)) for agent in (await self._requests.check(caller, request, later=True)).agents]
        if body.batch is None or body.target is not None:
            raise InvalidError("/batch", "a batch gets more items, for the agents that it has: give `batch` alone")
        require_all(caller, record)
        request = msgspec.structs.replace(request, batch=body.batch)
        return [Planned(item=item) for item in (await self._requests.check(caller, request)).items]

    async def _seen(self, caller: Caller, job: str) -> JobRecord:
        record = await self._dispatcher.job(caller.company, known_id(job))
        require_seen(caller, record)
        return record
