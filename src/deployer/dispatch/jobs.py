"""Jobs from a client's request to their last task's end."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Raw, Struct
from twisted.logger import Logger

from deployer.errors import ConflictError, InvalidError, NoSpaceError, QueueFullError
from deployer.kit.clock import WallClock, epoch_ms, sleep
from deployer.kit.failpoints import reach
from deployer.kit.wake import Hub
from deployer.model import limits
from deployer.model.access import Caller
from deployer.model.jobs import job_state
from deployer.model.placement import Fanout
from deployer.protocol import codes
from deployer.protocol.commands import CONTROL, KillArgs, SignedCommand, sha256_text
from deployer.protocol.ids import AgentId, new_id
from deployer.protocol.results import Result
from deployer.protocol.signing import seal
from deployer.protocol.states import FINAL
from deployer.stores import keys
from deployer.stores.jobs import Cancelled, JobDocument, JobRecord, Jobs, NewTask, Places, TaskRecord

KILL = "kill"
_PAGE = 100
SIGNED_A_TURN: Final = 50


class NewJob(Struct, frozen=True, kw_only=True):
    """What a client asks for, checked, and the agents that its target means.

    `not_after`: epoch ms. `reply`: the list in Redis that gets its results. `schedule`: which one started it.
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
    schedule: str = ""

    @property
    def is_one(self) -> bool:
        """Whether one agent was asked for by its number."""
        return [str(one) for one in self.agents] == [self.target]


class Dispatcher:
    """Submits, finds, awaits and cancels jobs. `memory()`: the share of Redis' memory in use."""

    log = Logger()

    def __init__(
        self, jobs: Jobs, hub: Hub, key: Ed25519PrivateKey, wall: WallClock, memory: Callable[[], float]
    ) -> None:
        self._jobs = jobs
        self._hub = hub
        self._key = key
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
        tasks = [task async for task in self._tasks_of(caller.company, document, new)]
        reach("submit_begun")
        answer = await self._jobs.submit(
            caller.company,
            document,
            _fingerprint(new),
            tasks,
            control=new.cmd in CONTROL,
        )
        reach("submit_stored")
        if answer == "OK":
            self.log.warn(
                "audit: user {user} submits job {job}: {cmd} on {target}",
                user=caller.user,
                job=document.id,
                cmd=document.cmd,
                target=document.target,
            )
            return JobRecord(document, {"QUEUED": len(tasks)}, None, None, "", ""), True
        if answer == "DUP":
            return await self._same(caller, document.id), False
        raise _refusal(answer)

    async def _same(self, caller: Caller, job_id: str) -> JobRecord:
        """The job that was submitted before; to who may use none of its agents it is another one."""
        record = await self._jobs.job(caller.company, job_id)
        if not any(map(caller.sees, record.document.places)):
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

    async def listed(self, company: str, span: Places, count: int) -> list[tuple[str, JobRecord]]:
        """Jobs, each with its place in the list."""
        return await self._jobs.listed(company, span, count)

    async def tasks(self, company: str, job_id: str, start: int, count: int) -> list[TaskRecord | None]:
        """Tasks of a job in the order they were made, None in the place of what is none; NotFoundError: no such job."""
        await self._jobs.job(company, job_id)
        return await self._jobs.tasks_at(company, job_id, start, count)

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
        kills = [(task.id, task.agent, kill_id(task.id), self._kill_wire(company, task)) for task in tasks]
        return await self._jobs.cancel(company, CANCELLED_RESULT, kills) if kills else []

    def _document(self, caller: Caller, new: NewJob) -> JobDocument:
        created = epoch_ms(self._wall)
        not_after = created + limits.NOT_AFTER_S * 1000 if new.not_after is None else new.not_after
        return JobDocument(
            id=new.id or new_id(self._wall()),
            cmd=new.cmd,
            args=Raw(_encode(new.args)),
            target=new.target,
            user=caller.user,
            created=created,
            not_after=not_after,
            agents=() if new.is_one else [str(one) for one in new.agents],
            schedule=new.schedule,
        )

    async def _tasks_of(self, company: str, document: JobDocument, new: NewJob) -> AsyncIterator[NewTask]:
        """A task for each agent. To sign is slow: others have their turn in between."""
        for number, agent in enumerate(new.agents, 1):
            head = _head(document, agent) if new.reply else b""
            yield NewTask(document.id, agent, self._wire(company, document, new, agent), new.reply, head)
            if number % SIGNED_A_TURN == 0:
                await sleep(self._hub.clock, 0)

    def _wire(self, company: str, document: JobDocument, new: NewJob, agent: AgentId) -> bytes:
        command = SignedCommand(
            id=document.id,
            company=company,
            gid=agent.gid,
            nid=agent.nid,
            cmd=document.cmd,
            args=document.args,
            data_sha256=sha256_text(new.data),
            created=document.created,
            not_after=document.not_after,
        )
        return _encode(seal(self._key, command, new.data))

    def _kill_wire(self, company: str, task: TaskRecord) -> bytes:
        created = epoch_ms(self._wall)
        command = SignedCommand(
            id=kill_id(task.id),
            company=company,
            gid=task.agent.gid,
            nid=task.agent.nid,
            cmd=KILL,
            args=Raw(_encode(KillArgs(id=task.id))),
            data_sha256=sha256_text(""),
            created=created,
            not_after=created + limits.NOT_AFTER_S * 1000,
        )
        return _encode(seal(self._key, command, ""))


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


def _refusal(answer: str) -> Exception:
    if answer == "CONFLICT":
        return ConflictError("a job with this id and a different body exists")
    if answer == "FULL":
        return QueueFullError("too many jobs wait already: try again later")
    return InvalidError("/target", "no agent matches this target", "no_matching_agent")


def kill_id(task_id: str) -> str:
    """The id of the command that kills a task: one for each task, so that killing again is the same kill."""
    return f"{task_id}:{KILL}"


def _fingerprint(new: NewJob) -> str:
    """What two requests with one id must share to be the same job."""
    asked = [new.cmd, new.args, new.data, new.target, new.not_after]
    more = [] if new.fanout == "all" else [new.fanout]
    return hashlib.sha256(_canonical([*asked, *more])).hexdigest()
