"""Processes (seed 000): what runs on a company's agents with what it consumes, and what has run, by its job."""

from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from deployer.errors import NotFoundError
from deployer.model.access import Caller, Permission
from deployer.model.processes import FOREVER, EndedPlace, LivePlace, ProcessName, job_of
from deployer.protocol.ids import AgentId, GridId, JobId, Name, NodeId
from deployer.protocol.processes import LiveProcess
from deployer.protocol.results import Result
from deployer.rest.endpoint import endpoint
from deployer.rest.jobsight import is_seen
from deployer.rest.paging import PageQuery
from deployer.rest.processanswers import ProcessAnswer, ended_process, is_asked_for, live_process
from deployer.stores.agents import Agents
from deployer.stores.jobs import JobRecord, Jobs, Places, TaskRecord
from deployer.stores.processes import Processes, Running

AGENTS_A_READ: Final = 5
AGENTS_A_PAGE: Final = 500
"""So many agents are looked at for one page: one with a rare name may be short, or empty, and go on."""
JOBS_A_READ: Final = 20
TASKS_A_READ: Final = 20
RUNS_A_READ: Final = 5
COST_A_PAGE: Final = 300
"""A job, a run, and each so many characters of a result that is read for it, count as one."""
DATA_A_COST: Final = 40_000

Text = Annotated[str, Meta(max_length=1000)]
Place = LivePlace | EndedPlace
Found = tuple[Place, ProcessAnswer | None]
"""A process with its place; a place without one where a page has looked far enough."""
Ended = tuple[Result | None, ProcessAnswer | None]
"""A run, None for one that is damaged, and its process if it had one."""


class ProcessQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which processes, running by default or ended; what is left out is any."""

    state: Literal["running", "ended"] = "running"
    gid: GridId | None = None
    nid: NodeId | None = None
    domain: Name | None = None
    name: Name | None = None
    user: Text | None = None
    job: JobId | None = None


class ProcessPage(Struct, frozen=True):
    """Some processes, and where the next ones begin."""

    items: list[ProcessAnswer]
    next: str | None


class ProcessRoutes:
    """`/api/v1/processes`."""

    def __init__(self, agents: Agents, processes: Processes, jobs: Jobs) -> None:
        self._agents = agents
        self._processes = processes
        self._jobs = jobs

    @endpoint("GET", "/api/v1/processes", needs=Permission.READ, returns=ProcessPage, query=ProcessQuery)
    async def list_all(self, caller: Caller, query: ProcessQuery) -> ProcessPage:
        """What runs on the company's agents, by agent; or what has ended, of the newest jobs first.

        A process is listed as running once it has lived for a second. A page may hold fewer than `limit` and have a
        next.
        """
        items: list[ProcessAnswer] = []
        async for place, one in self._ended(caller, query) if query.state == "ended" else self._live(caller, query):
            if one is not None and is_asked_for(one, query):
                items.append(one)
            if one is None or len(items) == query.limit:
                return ProcessPage(items, str(place))
        return ProcessPage(items, None)

    @endpoint("GET", "/api/v1/processes/<process>", needs=Permission.READ, returns=ProcessAnswer)
    async def show(self, caller: Caller, process: str) -> ProcessAnswer:
        """One process: while it runs, and as long as its job is kept."""
        try:
            wanted = ProcessName.parse(process)
        except ValueError:
            wanted = None
        if wanted is not None and caller.sees(wanted.agent):
            answer = await self._running_now(caller, wanted) or await self._past(caller, wanted)
            if answer is not None:
                return answer
        raise NotFoundError("this process does not exist")

    async def _running_now(self, caller: Caller, wanted: ProcessName) -> ProcessAnswer | None:
        try:
            await self._agents.agent(caller.company, wanted.agent)
        except NotFoundError:
            return None
        (running,) = await self._processes.of([wanted.agent])
        its = [one for one in running.processes if (one.task, one.run) == (wanted.task, wanted.run)]
        answers = await self._answers(caller, wanted.agent, Running(running.heard, its))
        return answers[0] if answers else None

    async def _past(self, caller: Caller, wanted: ProcessName) -> ProcessAnswer | None:
        try:
            record = await self._jobs.job(caller.company, wanted.job)
            task = await self._jobs.task(caller.company, wanted.task, wanted.agent)
        except NotFoundError:
            return None
        async for _, one in self._ended_of(caller, record, task):
            if one is not None and one.run == wanted.run:
                return one
        return None

    async def _live(self, caller: Caller, query: ProcessQuery) -> AsyncIterator[Found]:
        start = place = LivePlace.start(query.cursor, query.gid, query.nid)
        looked = 0
        while found := await self._agents.agents(
            caller.company, None if place is None else place.before, AGENTS_A_READ, caller.agents
        ):
            ids = [one.id for one in found]
            for agent, running in zip(ids, await self._processes.of(ids), strict=True):
                answers = await self._answers(caller, agent, running)
                for index in range(0 if start is None else start.rest(agent, running.processes), len(answers)):
                    yield LivePlace.at(agent, index, running.processes[index]), answers[index]
            place = LivePlace(ids[-1])
            if query.gid is not None and (ids[-1].gid, ids[-1].nid) >= (query.gid, query.nid or FOREVER):
                return
            looked += len(ids)
            if looked >= AGENTS_A_PAGE:
                yield place, None

    async def _answers(self, caller: Caller, agent: AgentId, running: Running) -> list[ProcessAnswer]:
        users = await self._jobs.users(caller.company, [job_of(one.task) for one in running.processes])
        pairs: list[tuple[LiveProcess, str | None]] = list(zip(running.processes, users, strict=True))
        return [live_process(agent, one, user, running.heard) for one, user in pairs]

    async def _ended(self, caller: Caller, query: ProcessQuery) -> AsyncIterator[Found]:
        start = None if query.cursor is None else EndedPlace.parse(query.cursor)
        cost = 0
        async for name, record in self._records(caller, query, start):
            place = EndedPlace(name, 0 if start is None else start.skipped(name))
            async for run, one in self._of_job(caller, record, place.index):
                place = EndedPlace(name, place.index + 1)
                if one is not None:
                    yield place, one
                cost += 1 if run is None else 1 + len(run.data) // DATA_A_COST
                if cost >= COST_A_PAGE:
                    yield place, None
            cost += 1
            if cost >= COST_A_PAGE:
                yield EndedPlace(name, FOREVER), None

    async def _records(
        self, caller: Caller, query: ProcessQuery, start: EndedPlace | None
    ) -> AsyncIterator[tuple[str, JobRecord]]:
        """The jobs from a place on, the newest first, each with its name in the list."""
        if query.job is not None:
            try:
                record = await self._jobs.job(caller.company, query.job)
            except NotFoundError:
                return
            yield f"{record.document.created:013d}:{query.job}", record
            return
        places = Places() if start is None else Places(high=f"[{start.job}")
        while found := await self._jobs.listed(caller.company, places, JOBS_A_READ):
            for name, record in found:
                yield name, record
            places = places.after(found[-1][0])

    async def _of_job(self, caller: Caller, record: JobRecord, skip: int) -> AsyncIterator[Ended]:
        start = 0
        while is_seen(caller, record) and (
            tasks := await self._jobs.tasks_at(caller.company, record.document.id, start, TASKS_A_READ)
        ):
            for task in filter(None, tasks):
                if task.agent is None:  # it is still to be made
                    continue
                kept = await self._jobs.runs_kept(caller.company, task.id, task.agent) if task.runs else 0
                async for one in self._ended_of(caller, record, task, skip):
                    yield one
                skip = max(skip - kept - (task.result is not None), 0)
            start += len(tasks)

    async def _ended_of(
        self, caller: Caller, record: JobRecord, task: TaskRecord, skip: int = 0
    ) -> AsyncIterator[Ended]:
        """The runs of a task that have ended, from one on: the last hundred, and its result; each with its process."""
        company, last, agent = caller.company, task.result, task.agent
        if agent is None:
            return
        kept = await self._jobs.runs_kept(company, task.id, agent) if task.runs else 0
        for first in range(skip, kept, RUNS_A_READ):
            for one in await self._jobs.runs_at(company, task.id, agent, first, min(RUNS_A_READ, kept - first)):
                yield one, None if one is None else _process(record, task, one)
        if last is not None and skip <= kept:
            newest = await self._jobs.runs_at(company, task.id, agent, kept - 1, 1) if kept else []
            is_told = last.run in {one.run for one in newest if one is not None}
            yield last, None if is_told else _process(record, task, last)


def _process(record: JobRecord, task: TaskRecord, run: Result) -> ProcessAnswer | None:
    return ended_process(record.document, task.id, task.agent, run) if run.pid and task.agent else None
