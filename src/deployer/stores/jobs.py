"""Jobs and tasks in Redis. Every key carries the company."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from deployer.errors import NotFoundError
from deployer.model import limits, retention
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.protocol.states import TASK_STATES, TaskState
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis

Submitted = Literal["OK", "DUP", "CONFLICT", "FULL", "NO_AGENT"]
Cancelled = Literal["CANCELLED", "KILLING", "FINAL", "UNKNOWN"]


class JobDocument(Struct, frozen=True, kw_only=True):
    """What of a job never changes. Times are epoch ms."""

    id: str
    cmd: str
    args: Raw
    target: str
    user: str
    created: int
    not_after: int


class NewTask(Struct, frozen=True):
    """One task of a job that is submitted; `wire` is its sealed envelope as JSON.

    `reply`: the list that gets each of its results, with `head` (JSON fields) in front of theirs; empty for none.
    """

    id: str
    agent: AgentId
    wire: bytes
    reply: str = ""
    head: bytes = b""


class JobRecord(Struct, frozen=True):
    """A job as it stands: its document, its tasks by state, its end (epoch ms) and where its log lies."""

    document: JobDocument
    counts: Mapping[TaskState, int]
    finished: int | None
    log_stream: str | None
    log_first: str
    log_last: str


class TaskRecord(Struct, frozen=True, kw_only=True):
    """A task as it stands. Times are epoch ms on Redis' clock; `result` is there when it is final."""

    id: str
    agent: AgentId
    state: TaskState
    result: Result | None
    sent: int | None
    accepted: int | None
    finished: int | None
    kill_wanted: int | None
    runs: int
    log_dropped: int


class Jobs:
    """Submits, reads, cancels and retires jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def submit(
        self, company: str, document: JobDocument, sha: str, tasks: Sequence[NewTask], *, control: bool = False
    ) -> Submitted:
        """Store a job with its tasks and queue them, all or nothing; durable when this returns OK.

        `control`: before all that waits, and also to an agent that has no room for more.
        """
        arguments: list[object] = [
            document.id,
            sha,
            _encode(document),
            document.created,
            document.not_after,
            limits.QUEUE_PER_AGENT,
            limits.OPEN_PER_COMPANY,
            "control" if control else "queue",
            len(tasks),
        ]
        for task in tasks:
            arguments += (task.id, str(task.agent), task.wire, task.reply, task.head)
        answer: bytes = await self._redis.run(scripts.SUBMIT, [keys.prefix(company)], arguments)
        return answer.decode()  # type: ignore[return-value]  # one of the script's words

    async def job(self, company: str, job_id: str) -> JobRecord:
        """One job; NotFoundError when the company has none of this id."""
        record = _job(await self._redis.call("HGETALL", keys.job(company, job_id)))
        if record is None:
            raise NotFoundError("this job does not exist")
        return record

    async def recent(self, company: str, before: str | None, count: int) -> list[tuple[str, JobRecord]]:
        """Jobs, newest first, each with its place in the list; those after the place `before` when that is given."""
        end = "+" if before is None else f"({before}"
        index = f"{keys.prefix(company)}jobs"
        places = [raw.decode() for raw in await self._redis.call("ZREVRANGEBYLEX", index, end, "-", "LIMIT", 0, count)]
        wanted = [("HGETALL", keys.job(company, place.partition(":")[2])) for place in places]
        found = zip(places, map(_job, await self._redis.calls(wanted)), strict=True)
        return [(place, record) for place, record in found if record is not None]

    async def tasks(self, company: str, job_id: str, start: int, count: int) -> list[TaskRecord]:
        """Tasks of a job in the order they were made."""
        members = await self._redis.call("LRANGE", f"{keys.job(company, job_id)}:tasks", start, start + count - 1)
        names = [_member(raw) for raw in members]
        wanted = [("HMGET", keys.task(company, task, agent), *_TASK_FIELDS) for task, agent in names]
        replies = await self._redis.calls(wanted)
        return [_task(*name, reply) for name, reply in zip(names, replies, strict=True)]

    async def task(self, company: str, task: str, agent: AgentId) -> TaskRecord:
        """One task; NotFoundError when the company has none of this id on this agent."""
        return _task(task, agent, await self._redis.call("HMGET", keys.task(company, task, agent), *_TASK_FIELDS))

    async def runs(self, company: str, task: str, agent: AgentId) -> list[Result]:
        """Finished runs of a task that goes on, oldest first; the last hundred of them."""
        raw = await self._redis.call("ZRANGE", f"{keys.task(company, task, agent)}:runs", 0, -1)
        return [_result(one) for one in raw]

    async def cancel(
        self, company: str, unstarted: bytes, kills: Sequence[tuple[str, AgentId, str, bytes]]
    ) -> list[Cancelled]:
        """End tasks that have not started with the result `unstarted`; send the others their kill (id and wire)."""
        arguments: list[object] = [unstarted]
        for task, agent, kill, wire in kills:
            arguments += (task, str(agent), kill, wire)
        answer = await self._redis.run(scripts.CANCEL, [keys.prefix(company)], arguments)
        return [one.decode() for one in answer]

    async def expire(self, result: bytes, now_ms: int) -> int:
        """End up to 100 tasks that were not started in time; how many were looked at."""
        looked: int = await self._redis.run(scripts.EXPIRE, [keys.DEADLINES], [result, now_ms])
        return looked

    async def retire(self, company: str) -> int:
        """Remove up to 100 finished jobs past their retention; how many went."""
        arguments = [retention.FINISHED_MS, retention.FINISHED_PER_COMPANY]
        gone: int = await self._redis.run(scripts.RETIRE, [keys.prefix(company)], arguments)
        return gone


_encode = msgspec.json.Encoder().encode
_document = msgspec.json.Decoder(JobDocument).decode
_result = msgspec.json.Decoder(Result).decode
_TASK_FIELDS = ("state", "result", "sent", "accepted", "finished", "kill_wanted", "runs", "log_dropped")


def _job(flat: list[bytes]) -> JobRecord | None:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    if b"doc" not in fields:
        return None
    counts: dict[TaskState, int] = {state: int(fields.get(b"n:" + state.encode(), 0)) for state in TASK_STATES}
    stream = fields.get(b"log_stream")
    return JobRecord(
        document=_document(fields[b"doc"]),
        counts=counts,
        finished=_number(fields.get(b"finished")),
        log_stream=None if stream is None else stream.decode(),
        log_first=fields.get(b"log_first", b"").decode(),
        log_last=fields.get(b"log_last", b"").decode(),
    )


def _task(task: str, agent: AgentId, fields: list[bytes | None]) -> TaskRecord:
    state, result, sent, accepted, finished, kill_wanted, runs, dropped = fields
    if state is None:
        raise NotFoundError("this task does not exist any more")
    return TaskRecord(
        id=task,
        agent=agent,
        state=state.decode(),  # type: ignore[arg-type]  # one of the states
        result=None if result is None else _result(result),
        sent=_number(sent),
        accepted=_number(accepted),
        finished=_number(finished),
        kill_wanted=_number(kill_wanted),
        runs=_number(runs) or 0,
        log_dropped=_number(dropped) or 0,
    )


def _member(raw: bytes) -> tuple[str, AgentId]:
    task, _, agent = raw.decode().partition("@")
    return task, AgentId.parse(agent)


def _number(raw: bytes | None) -> int | None:
    return None if raw is None else int(raw)
