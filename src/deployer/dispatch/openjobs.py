"""What is done to jobs that are there: they are changed, get more tasks, and are looked at for what has failed."""

import secrets
from collections.abc import Sequence
from typing import Final

from twisted.logger import Logger

from deployer.dispatch.signer import Signer
from deployer.errors import ConflictError, InvalidError, NoSpaceError, NotFoundError, QueueFullError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.failpoints import reach
from deployer.model import limits
from deployer.model.access import Caller
from deployer.model.batches import with_item
from deployer.model.changes import Change, has_time_limit
from deployer.model.plans import Planned
from deployer.protocol.commands import SCRIPT_COMMANDS
from deployer.protocol.ids import AgentId
from deployer.protocol.states import FINAL
from deployer.stores.jobs import JobRecord, Jobs, TaskRecord, Told
from deployer.stores.plans import Need, Plans

A_CHANGE: Final = 20
"""So many tasks are changed by one script: to take one out of a long queue takes its time."""
A_READ: Final = 100
TRIES: Final = 5


class OpenJobs:
    """Changes them."""

    log = Logger()

    def __init__(self, jobs: Jobs, plans: Plans, signer: Signer, wall: WallClock) -> None:
        self._jobs = jobs
        self._plans = plans
        self._signer = signer
        self._wall = wall

    async def change(self, caller: Caller, job_id: str, change: Change) -> JobRecord:
        """The job with its priority or time limit changed, for tasks that wait, run, or are still to be made.

        ConflictError when it has ended; InvalidError when it has no time limit to be changed.
        """
        for _ in range(TRIES):
            job = await self._jobs.job(caller.company, job_id)
            if change.max_time is not None:
                _require_time_limit(job)
            if await self._change(caller.company, job, change):
                self.log.warn("audit: user {user} changes job {job}", user=caller.user, job=job_id)
                return await self._jobs.job(caller.company, job_id)
        raise ConflictError("this job is being changed by somebody else: look at it again")

    async def _change(self, company: str, before: JobRecord, change: Change) -> bool:
        """False when somebody else has changed it meanwhile."""
        mark, now = secrets.token_hex(4), epoch_ms(self._wall)
        whole, start = change.over(before.change), 0
        data = "" if change.max_time is None else await self.data(company, before.document.id)
        if not await self._mark(company, before, mark, whole):
            return False  # tasks that are made from now on have it
        a_change = max(1, min(A_CHANGE, limits.BYTES_AT_ONCE // (len(data) + len(bytes(before.document.args)) + 1)))
        while True:
            found = await self._jobs.tasks_at(company, before.document.id, start, a_change)
            told = [
                self._told(company, before, change, data, (one, one.agent, mark, now))
                for one in found
                if one is not None and one.agent is not None and one.state not in FINAL and one.state != "BLOCKED"
            ]
            if told:
                moved = change.priority is not None
                answer = await self._jobs.change(company, before, mark, whole, moved=moved, told=told)
                if answer == "CHANGED":
                    return False
                _require_open(answer)
            if len(found) < a_change or all(one is not None and one.state == "BLOCKED" for one in found):
                return True  # what is still to be made comes behind what is made, and has the change by its job
            start += len(found)

    async def _mark(self, company: str, before: JobRecord, mark: str, whole: Change) -> bool:
        answer = await self._jobs.change(company, before, mark, whole, moved=whole.priority is not None, told=())
        reach("job_changed")
        if answer == "CHANGED":
            return False
        _require_open(answer)
        return True

    def _told(
        self, company: str, job: JobRecord, change: Change, data: str, which: tuple[TaskRecord, AgentId, str, int]
    ) -> Told:
        task, agent, mark, now = which
        if change.max_time is None:
            return Told(task.id, agent)
        place, by = (task.id, agent), f"{task.id}:l{mark}"
        args = bytes(change.args(job.document.args))
        own = args if task.item is None else with_item(args, task.item)
        wire = self._signer.wire(company, job.document, place, data, own)
        return Told(task.id, agent, wire, by, self._signer.limit(company, place, by, change.max_time, now))

    async def data(self, company: str, job_id: str) -> str:
        """What the tasks of a job get as data."""
        need = await self._plans.need(company, job_id)
        return await self._jobs.data(company, job_id) if need is None else need.data

    async def add(self, caller: Caller, job_id: str, planned: Sequence[Planned]) -> JobRecord:
        """The job with so many tasks more; their numbers are given here. ConflictError when it has ended."""
        if await self._plans.memory() >= limits.MEMORY_REFUSAL:
            raise NoSpaceError("the master's Redis is nearly full: tasks are added when work has been retired")
        need = Need(data=await self.data(caller.company, job_id))
        answer = await self._plans.more(caller.company, job_id, need, planned)
        reach("tasks_added")
        if answer == "FULL":
            raise QueueFullError("too many jobs wait already: try again later")
        if answer == "MOST":
            raise InvalidError("", "the job would have more tasks than a job may have")
        if isinstance(answer, str):
            _require_open(answer)
        self.log.warn("audit: user {user} adds tasks to job {job}", user=caller.user, job=job_id)
        return await self._jobs.job(caller.company, job_id)

    async def failed(self, company: str, job_id: str) -> list[TaskRecord]:
        """Its tasks that have ended otherwise than well."""
        found: list[TaskRecord] = []
        start = 0
        while tasks := await self._jobs.tasks_at(company, job_id, start, A_READ):
            found += [one for one in tasks if one is not None and one.state in FINAL and one.state != "OK"]
            start += len(tasks)
        return found


def _require_open(answer: str) -> None:
    if answer == "NONE":
        raise NotFoundError("this job does not exist")
    if answer == "ENDED":
        raise ConflictError("this job has ended, or is about to: submit another one")


def _require_time_limit(job: JobRecord) -> None:
    if job.document.cmd not in {"execute", *SCRIPT_COMMANDS}:
        raise InvalidError("/max_time", f"{job.document.cmd} has no time limit")
    if not has_time_limit(job.document.args):
        raise InvalidError("/max_time", "a long-running or recurring job has none: end it, and submit it anew")
