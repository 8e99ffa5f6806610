"""The tasks that an agent has to do: its current assignments (seed 002)."""

from typing import Literal

from msgspec import Struct

from deployer.errors import MalformedError
from deployer.model.access import Caller, Permission
from deployer.model.processes import job_of
from deployer.rest.agents import known_agent
from deployer.rest.endpoint import endpoint
from deployer.rest.jobanswers import TaskAnswer, task_answer
from deployer.rest.paging import PageQuery
from deployer.rest.references import JobReference, job_reference
from deployer.stores.activity import Activities
from deployer.stores.agents import Agents
from deployer.stores.jobs import Jobs


class AssignmentQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which tasks: all that are open, or those that run, were sent, or wait."""

    state: Literal["open", "running", "sent", "queued"] = "open"


class AssignmentAnswer(Struct, frozen=True):
    """A task of an agent and its job."""

    job: JobReference
    task: TaskAnswer


class AssignmentPage(Struct, frozen=True):
    """Some of them: those that run, the oldest first, then what was sent, then what waits; and where the next begin."""

    items: list[AssignmentAnswer]
    next: str | None


class AssignmentRoutes:
    """`/api/v1/agents/<agent>/tasks`."""

    def __init__(self, agents: Agents, activities: Activities, jobs: Jobs) -> None:
        self._agents = agents
        self._activities = activities
        self._jobs = jobs

    @endpoint(
        "GET", "/api/v1/agents/<agent>/tasks", needs=Permission.READ, returns=AssignmentPage, query=AssignmentQuery
    )
    async def list_all(self, caller: Caller, agent: str, query: AssignmentQuery) -> AssignmentPage:
        """What an agent has to do. What ends or moves on between two pages may be missing or come twice."""
        known = await self._agents.agent(caller.company, known_agent(caller, agent))
        start = _start(query.cursor)
        names = await self._activities.open_tasks(known.id, query.state, start, query.limit + 1)
        page = names[: query.limit]
        found = await self._jobs.open_tasks(caller.company, [(name, known.id) for name in page])
        items = [AssignmentAnswer(job_reference(job_of(one.id)), task_answer(job_of(one.id), one)) for one in found]
        return AssignmentPage(items, str(start + query.limit) if len(names) > query.limit else None)


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):  # noqa: PLR2004 (more than any agent has)
        raise MalformedError("this cursor was not made here")
    return int(cursor)
