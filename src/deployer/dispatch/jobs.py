"""Jobs from a client's request to their last task's end."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct
from twisted.logger import Logger

from deployer.dispatch.signer import Signer, kill_id
from deployer.dispatch.standing import standing
from deployer.errors import ConflictError, InvalidError, NoSpaceError, QueueFullError
from deployer.kit.clock import WallClock, epoch_ms, sleep
from deployer.kit.failpoints import reach
from deployer.kit.wake import Hub
from deployer.model import limits, plans
from deployer.model.access import Caller
from deployer.model.batches import Item
from deployer.model.jobs import job_state
from deployer.model.placement import Fanout
from deployer.model.plans import Dependency, Planned, Requires
from deployer.protocol import codes
from deployer.protocol.commands import CONTROL
from deployer.protocol.ids import AgentId, new_id
from deployer.protocol.results import Result
from deployer.protocol.states import FINAL, TaskState
from deployer.stores import keys
from deployer.stores.jobs import Cancelled, JobDocument, JobRecord, Jobs, NewTask, Places, TaskRecord
from deployer.stores.plans import Need, Plans, encode

_PAGE = 100
SIGNED_A_TURN: Final = 50


class NewJob(Struct, frozen=True, kw_only=True):
    """What a client asks for, checked, and the agents that its target means.

    `not_after`: epoch ms. `reply`: the list in Redis that gets its results. `items`: a task each, on one of the agents;
    `size`: so many tasks at once, or such a part (0: all); `max_failures`: after so many no more begin (0: never).
    `skipped`: agents of the target that were away. `schedule`: which one started it.
    """

    id: str | None
    cmd: str
    args: Struct
    data: str
    target: str
    agents: Sequence[AgentId]
    not_after: int | None
    reply: str = ""
    fanout: Fanout = "all"
    items: Sequence[Item] = ()
    depends_on: Sequence[Dependency] = ()
    requires: Requires | None = None
    priority: int = 0
    size: int | str = 0
    max_failures: int = 0
    rerun_of: str = ""
    skipped: int = 0
    schedule: str = ""

    @property
    def is_one(self) -> bool:
        """Whether one agent was asked for by its number."""
        return [str(one) for one in self.agents] == [self.target]

    @property
    def total(self) -> int:
        """How many tasks it has."""
        return len(self.items or self.agents)

    @property
    def has_plan(self) -> bool:
        """Whether its tasks are made later than the job."""
        waits = bool(self.items or self.depends_on or self.requires or self.size or self.max_failures)
        return waits or self.total > limits.TASKS_AT_ONCE or self.total * len(self.data) > limits.BYTES_AT_ONCE

    def planned(self) -> list[Planned]:
        """Its tasks, before they are made."""
        if self.items:
            return [Planned(n=n, item=item) for n, item in enumerate(self.items, 1)]
        return [Planned(str(agent)) for agent in self.agents]


class Dispatcher:
    """Submits, finds, awaits and cancels jobs. `memory()`: the share of Redis' memory in use."""

    log = Logger()

    def __init__(
        self, store: tuple[Jobs, Plans], hub: Hub, signer: Signer, wall: WallClock, memory: Callable[[], float]
    ) -> None:
        self._jobs, self._plans = store
        self._hub = hub
        self._signer = signer
        self._wall = wall
        self._memory = memory

    def now_ms(self) -> int:
        """Epoch ms on this master's clock."""
        return epoch_ms(self._wall)

    async def submit(self, caller: Caller, new: NewJob) -> tuple[JobRecord, bool]:
        """Accept a job for good, or raise; the job, and whether it is new (else this id had the same body before)."""
        if self._memory() >= limits.MEMORY_REFUSAL:
            raise NoSpaceError("the master's Redis is nearly full: new jobs are refused until work has been retired")
        document = self._document(caller, new)
        reach("submit_begun")
        answer = await (self._plan if new.has_plan else self._store)(caller.company, document, new)
        reach("submit_stored")
        if answer == "OK":
            self.log.warn(
                "audit: user {user} submits job {job}: {cmd} on {target}",
                user=caller.user,
                job=document.id,
                cmd=document.cmd,
                target=document.target,
            )
            state: TaskState = "BLOCKED" if new.has_plan else "QUEUED"
            return JobRecord(document, {state: new.total}, None, None, "", ""), True
        if answer == "DUP":
            return await self._same(caller, document.id), False
        if answer.startswith("NO_JOB:"):
            number = int(answer.removeprefix("NO_JOB:"))
            raise no_such_job(number, document.depends_on[number].id)
        raise _refusal(answer)

    async def _store(self, company: str, document: JobDocument, new: NewJob) -> str:
        """With all its tasks."""
        tasks = [task async for task in self._tasks_of(company, document, new)]
        shared = encode(Need(data=new.data)) if new.data else b""
        is_control = new.cmd in CONTROL
        return await self._jobs.submit(company, document, _fingerprint(new), tasks, control=is_control, shared=shared)

    async def _plan(self, company: str, document: JobDocument, new: NewJob) -> str:
        """With its tasks planned."""
        need = Need(data=new.data, agents=[str(one) for one in new.agents] if new.items else ())
        return await self._plans.accept(company, document, _fingerprint(new), need, new.planned())

    async def _same(self, caller: Caller, job_id: str) -> JobRecord:
        """The job that was submitted before; to who may use none of its agents it is another one."""
        record = await self._jobs.job(caller.company, job_id)
        if caller.agents is not None and not any(map(caller.sees, record.document.places)):
            raise _refusal("CONFLICT")
        return record

    async def submit_and_wait(self, caller: Caller, new: NewJob, wait_s: float) -> tuple[JobRecord, bool]:
        """The same, once the job is final or `wait_s` seconds are over."""
        job_id = new.id or new_id(self._wall())
        end = self._hub.clock.seconds() + wait_s
        with self._hub.waiter((keys.DONE, job_id)) as waiter:
            record, is_new = await self.submit(caller, msgspec.structs.replace(new, id=job_id))
            if is_new:  # it cannot be final yet: not worth a look
                await waiter.wait(wait_s)
        return await self.job(caller.company, record.document.id, self._hub.left(end)), is_new

    async def job(self, company: str, job_id: str, wait_s: float = 0.0) -> JobRecord:
        """The job once it is final, or as it stands after `wait_s` seconds."""
        end = self._hub.clock.seconds() + wait_s
        with self._hub.waiter((keys.DONE, job_id)) as waiter:
            while True:
                waiter.seen()
                record = await self._jobs.job(company, job_id)
                left = self._hub.left(end)
                if job_state(record.counts) in FINAL or left <= 0:
                    return record
                await waiter.wait(left)

    def waits(self, record: JobRecord) -> str:
        """Why those of its tasks wait that are not made yet."""
        next_step = plans.step(standing(record, epoch_ms(self._wall)))
        if isinstance(next_step, plans.Wait):
            return next_step.reason
        return "waits for an agent with room" if record.document.requires else "is about to be given to an agent"

    async def listed(self, company: str, span: Places, count: int) -> list[tuple[str, JobRecord]]:
        """Jobs, each with its place in the list."""
        return await self._jobs.listed(company, span, count)

    async def tasks(self, company: str, job_id: str, start: int, count: int) -> list[TaskRecord | None]:
        """Tasks of a job in the order they were made, None in the place of what is none; none of no job."""
        return await self._jobs.tasks_at(company, job_id, start, count)

    async def children(self, company: str, job_id: str, start: int, count: int) -> tuple[list[JobRecord], bool]:
        """Some of the jobs that wait for one, and whether there are more."""
        return await self._jobs.children(company, job_id, start, count)

    async def task(self, company: str, task: str, agent: AgentId) -> TaskRecord:
        """One task; NotFoundError without it."""
        return await self._jobs.task(company, task, agent)

    async def runs(self, company: str, task: str, agent: AgentId, first: int, count: int) -> list[Result | None]:
        """A task's finished runs, the last hundred, with its final one at the end; None in the place of a damaged one.

        NotFoundError without the task.
        """
        record = await self._jobs.task(company, task, agent)
        kept = await self._jobs.runs_kept(company, task, agent)
        wanted = min(count, kept - first)
        found = await self._jobs.runs_at(company, task, agent, first, wanted) if wanted > 0 else []
        last = record.result
        if last is not None and last.starttime and first <= kept < first + count:
            newest = await self._jobs.runs_at(company, task, agent, kept - 1, 1) if kept else []
            found += [last] if last.run not in {run.run for run in newest if run is not None} else []
        return found

    async def cancel(self, caller: Caller, job_id: str) -> JobRecord:
        """End what has not started, kill what runs; the job as it then stands."""
        reach("cancel_begun")
        await self._jobs.job(caller.company, job_id)
        await self._plans.end(caller.company, job_id, "KILLED", CANCELLED_RESULT)
        start = 0
        while tasks := await self._jobs.tasks_at(caller.company, job_id, start, _PAGE):
            verdicts = await self._cancel_page(
                caller.company, [task for task in tasks if task is not None and task.state not in FINAL]
            )
            self.log.warn(
                "audit: user {user} cancels job {job}: {verdicts}", user=caller.user, job=job_id, verdicts=verdicts
            )
            start += len(tasks)
        reach("cancel_done")
        return await self._jobs.job(caller.company, job_id)

    async def _cancel_page(self, company: str, tasks: list[TaskRecord]) -> list[Cancelled]:
        now = epoch_ms(self._wall)
        kills = [
            (task.id, task.agent, kill_id(task.id), self._signer.kill(company, task.id, task.agent, now))
            for task in tasks
            if task.agent is not None
        ]
        return await self._jobs.cancel(company, CANCELLED_RESULT, kills) if kills else []

    def _document(self, caller: Caller, new: NewJob) -> JobDocument:
        created = epoch_ms(self._wall)
        not_after = created + limits.NOT_AFTER_S * 1000 if new.not_after is None else new.not_after
        is_large = len(new.agents) > limits.AGENTS_PER_USER
        return JobDocument(
            id=new.id or new_id(self._wall()),
            cmd=new.cmd,
            args=Raw(_encode(new.args)),
            target=new.target,
            user=caller.user,
            created=created,
            not_after=not_after,
            agents=() if new.is_one or is_large else [str(one) for one in new.agents],
            is_large=is_large,
            is_batch=bool(new.items),
            depends_on=new.depends_on,
            window=plans.window(new.size, new.total) if new.size else 0,
            max_failures=new.max_failures,
            priority=new.priority,
            requires=new.requires,
            rerun_of=new.rerun_of,
            skipped=new.skipped,
            schedule=new.schedule,
        )

    async def _tasks_of(self, company: str, document: JobDocument, new: NewJob) -> AsyncIterator[NewTask]:
        """A task for each agent. To sign is slow: others have their turn in between."""
        for number, agent in enumerate(new.agents, 1):
            head = _head(document, agent) if new.reply else b""
            wire = self._signer.wire(company, document, (document.id, agent), new.data)
            yield NewTask(document.id, agent, wire, new.reply, head)
            if number % SIGNED_A_TURN == 0:
                await sleep(self._hub.clock, 0)


_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="deterministic").encode
CANCELLED_RESULT = _encode(
    Result(id="cancelled", state="KILLED", code=codes.CANCELLED, reason="cancelled before it started")
)
EXPIRED_RESULT = _encode(
    Result(id="expired", state="ERROR", code=codes.EXPIRED, reason="not started before its not_after")
)

REVOKED_RESULT = _encode(
    Result(id="revoked", state="ERROR", code=codes.AGENT_REVOKED, reason="its agent was revoked before it started")
)
LOST_RESULT = _encode(
    Result(
        id="revoked",
        state="ERROR",
        code=codes.AGENT_REVOKED,
        reason="its agent was revoked, and tells no more what became of it",
        outcome="unknown",
    )
)


_USUAL: Final = {
    "fanout": "all",
    "items": (),
    "depends_on": (),
    "requires": None,
    "priority": 0,
    "size": 0,
    "max_failures": 0,
    "rerun_of": "",
}
"""What most jobs leave out; a job that does is the same as before there was such a thing."""


def _head(document: JobDocument, agent: AgentId) -> bytes:
    """The fields of seed 001's result that the agent's own result lacks."""
    known = {
        "id": document.id,
        "gid": agent.gid,
        "nid": agent.nid,
        "cmd": document.cmd,
        "args": document.args,
    }
    return _encode(known)[1:-1]


def no_such_job(number: int, job: str) -> InvalidError:
    """What is said of one to wait for, the so manieth of them."""
    return InvalidError(f"/depends_on/{number}", f"job {job} does not exist", "no_such_job")


def _refusal(answer: str) -> Exception:
    if answer == "CONFLICT":
        return ConflictError("a job with this id and a different body exists")
    if answer == "FULL":
        return QueueFullError("too many jobs wait already: try again later")
    if answer == "MANY":
        return InvalidError("/depends_on", "a thousand jobs wait for one of these already, which is the most")
    return InvalidError("/target", "no agent matches this target", "no_matching_agent")


def _fingerprint(new: NewJob) -> str:
    """What two requests with one id must share to be the same job."""
    asked = [new.cmd, new.args, new.data, new.target, new.not_after]
    more = {name: its for name, usual in _USUAL.items() if (its := getattr(new, name)) != usual}
    return hashlib.sha256(_canonical([*asked, more] if more else asked)).hexdigest()
