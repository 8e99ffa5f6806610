"""Jobs and tasks in Redis. Every key carries the company."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Raw, Struct

from deployer.errors import NotFoundError
from deployer.model import limits, retention
from deployer.model.batches import Item
from deployer.model.changes import NOTHING, Change
from deployer.model.plans import Dependency, Planned, Requires
from deployer.protocol.commands import Envelope
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.protocol.states import FINAL, TASK_STATES, TaskState
from deployer.stores import keys, scripts
from deployer.stores.damage import CORRUPT_RESULT
from deployer.stores.redis import Redis

Submitted = Literal["OK", "DUP", "CONFLICT", "FULL", "NO_AGENT"]
Cancelled = Literal["CANCELLED", "KILLING", "FINAL", "UNKNOWN"]
RECORDS_A_READ: Final = 100
"""Reading more at once would hold up the reactor for more than 10 ms."""
MOST_RESULT_BYTES: Final = 8 * 1024 * 1024
"""Longer than any result is that was taken here."""


class JobDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a job never changes. Times are epoch ms.

    `agents`: those that its target meant; none: it is one agent, or, when it `is_large`, what its tasks say.
    `window`: so many tasks at once (0: all); `max_failures`: after so many no more begin (0: never). `schedule`: which
    one started it.
    """

    id: str
    cmd: str
    args: Raw
    target: str
    user: str
    created: int
    not_after: int
    agents: Sequence[str] = ()
    depends_on: Sequence[Dependency] = ()
    window: int = 0
    max_failures: int = 0
    priority: int = 0
    requires: Requires | None = None
    rerun_of: str = ""
    is_batch: bool = False
    is_large: bool = False
    skipped: int = 0
    schedule: str = ""

    @property
    def agent(self) -> AgentId | None:
        """The only agent that was asked for; None where the target was an expression."""
        return None if self.agents or self.is_large else AgentId.parse(self.target)

    @property
    def places(self) -> list[AgentId]:
        """All agents that it was for, as far as the document says."""
        if self.is_large:
            return []
        return [AgentId.parse(one) for one in self.agents or (self.target,)]


class NewTask(Struct, frozen=True):
    """One task of a job that is submitted; `wire` is its sealed envelope as JSON.

    `reply`: the list that gets each of its results, with `head` (JSON fields) in front of theirs; empty for none.
    """

    id: str
    agent: AgentId
    wire: bytes
    reply: str = ""
    head: bytes = b""


class Told(Struct, frozen=True):
    """A task that is changed: its new command, and the id and command that tell its agent where it knows it already."""

    id: str
    agent: AgentId
    wire: bytes = b""
    by: str = ""
    by_wire: bytes = b""


class JobRecord(Struct, frozen=True):
    """A job as it stands: its document, its tasks by state, its end (epoch ms) and where its log lies.

    `damaged`: its record cannot be read, and this is what stands for it. `ends`: how jobs ended that it waits for.
    `change`: what was changed since it was submitted, and is in `document`; `changes`: the last one's mark.
    """

    document: JobDocument
    counts: Mapping[TaskState, int]
    finished: int | None
    log_stream: str | None
    log_first: str
    log_last: str
    damaged: bool = False
    ends: Mapping[str, str] = {}
    changes: str = "0"
    change: Change = NOTHING


class TaskRecord(Struct, frozen=True, kw_only=True):
    """A task as it stands. Times are epoch ms on Redis' clock; `result` is there when it is final.

    `agent`: none for an item of a batch that no agent has got yet.
    """

    id: str
    agent: AgentId | None
    state: TaskState
    result: Result | None
    sent: int | None
    accepted: int | None
    finished: int | None
    kill_wanted: int | None
    runs: int
    log_dropped: int
    item: Item | None = None


class Places(Struct, frozen=True):
    """A part of the list of a company's jobs, which is sorted by their making; bounds as ZRANGEBYLEX has them."""

    low: str = "-"
    high: str = "+"
    oldest_first: bool = False

    @classmethod
    def between(cls, since_ms: int | None, until_ms: int | None, *, oldest_first: bool) -> "Places":
        """Jobs made from then until before then, epoch ms."""
        low = "-" if since_ms is None else f"[{since_ms:013d}"
        return cls(low, "+" if until_ms is None else f"({until_ms:013d}", oldest_first)

    def after(self, place: str) -> "Places":
        """What comes behind a place."""
        name = "low" if self.oldest_first else "high"
        return msgspec.structs.replace(self, **{name: f"({place}"})


class Jobs:
    """Submits, reads, cancels and retires jobs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def submit(
        self,
        company: str,
        document: JobDocument,
        sha: str,
        tasks: Sequence[NewTask],
        *,
        control: bool = False,
        shared: bytes = b"",
    ) -> Submitted:
        """Store a job with its tasks and queue them, all or nothing; durable when this returns OK.

        `control`: before all that waits, and also to an agent that has no room for more. `shared`: what the tasks have
        in common and later ones get too (`plans.Need`).
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
            document.user,
            len(tasks),
            document.priority,
            shared,
        ]
        for task in tasks:
            arguments += (task.id, str(task.agent), task.wire, task.reply, task.head)
        answer: bytes = await self._redis.run(scripts.SUBMIT, [keys.prefix(company)], arguments)
        return answer.decode()  # type: ignore[return-value]  # one of the script's words

    async def job(self, company: str, job_id: str) -> JobRecord:
        """One job; NotFoundError when the company has none of this id."""
        record = (await self._records(company, [job_id]))[0]
        if record is None:
            raise NotFoundError("this job does not exist")
        return record

    async def listed(self, company: str, span: Places, count: int) -> list[tuple[str, JobRecord]]:
        """Jobs, each with its place in the list."""
        index = f"{keys.prefix(company)}jobs"
        if span.oldest_first:
            raw = await self._redis.read("ZRANGEBYLEX", index, span.low, span.high, "LIMIT", 0, count)
        else:
            raw = await self._redis.read("ZREVRANGEBYLEX", index, span.high, span.low, "LIMIT", 0, count)
        places = [place for one in raw if (place := self._text(index, one)) is not None]
        found: list[tuple[str, JobRecord]] = []
        for begin in range(0, len(places), RECORDS_A_READ):
            part = places[begin : begin + RECORDS_A_READ]
            records = await self._records(company, [place.partition(":")[2] for place in part])
            found += [(place, record) for place, record in zip(part, records, strict=True) if record is not None]
        return found

    async def children(self, company: str, job_id: str, start: int, count: int) -> tuple[list[JobRecord], bool]:
        """Some of the jobs that wait for one, by id, as far as they are still there; whether there are more."""
        raw = await self._redis.read("SMEMBERS", f"{keys.job(company, job_id)}:next")
        ids = sorted(one for it in raw if (one := self._text(keys.job(company, job_id), it)) is not None)
        found = await self._records(company, ids[start : start + count])
        return [one for one in found if one is not None], len(ids) > start + count

    async def users(self, company: str, ids: Sequence[str]) -> list[str | None]:
        """Who submitted each of these jobs; None where that is not known any more."""
        known = list(dict.fromkeys(ids))
        named = [keys.job(company, id_) for id_ in known]
        raws = await self._redis.reads([("HGET", key, "user") for key in named])
        read = self._redis.damage.read
        found = {id_: read(key, bytes.decode, raw) for id_, key, raw in zip(known, named, raws, strict=True)}
        return [found[id_] for id_ in ids]

    async def _records(self, company: str, ids: Sequence[str]) -> list[JobRecord | None]:
        """Each of these jobs, None for one that is not there. What cannot be read stands there as ERROR."""
        replies = await self._redis.reads([("HGETALL", keys.job(company, id_)) for id_ in ids])
        return [self._record(company, id_, reply) for id_, reply in zip(ids, replies, strict=True)]

    def _record(self, company: str, id_: str, flat: list[bytes] | None) -> JobRecord | None:
        if flat is None:
            return _damaged_job(id_)
        try:
            return read_job(flat) if flat else None
        except (ValueError, KeyError, RecursionError):
            self._redis.damage.found(keys.job(company, id_))
            return _damaged_job(id_)

    def _text(self, key: str, raw: bytes) -> str | None:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self._redis.damage.found(key)
            return None

    async def tasks(self, company: str, job_id: str, start: int, count: int) -> list[TaskRecord]:
        """Tasks of a job in the order they were made."""
        return [one for one in await self.tasks_at(company, job_id, start, count) if one is not None]

    async def tasks_at(self, company: str, job_id: str, start: int, count: int) -> list[TaskRecord | None]:
        """The same place by place; None where what lies there is no task's name."""
        key = keys.job(company, job_id)
        members, planned, rest = await self._redis.run(scripts.PLACES, [key], [start, count])
        if members is None:
            self._redis.damage.found(f"{key}:tasks is of another type")
            return []
        names = [self._member(key, raw) for raw in members]
        found = iter(await self._tasks(company, [name for name in names if name is not None]))
        placed = [None if name is None else next(found) for name in names]
        if any(one is not None and one.result == CORRUPT_RESULT for one in placed):
            await self.job(company, job_id)  # gone meanwhile: that is no damage
        read = self._redis.damage.read
        return placed + [read(key, lambda raw: _planned(job_id, raw, rest), one) for one in planned]

    async def task(self, company: str, task: str, agent: AgentId) -> TaskRecord:
        """One task; NotFoundError when the company has none of this id on this agent."""
        if not await self._redis.call("EXISTS", keys.task(company, task, agent)):
            raise NotFoundError("this task does not exist any more")
        return (await self._tasks(company, [(task, agent)]))[0]

    async def open_tasks(self, company: str, names: Sequence[tuple[str, AgentId]]) -> list[TaskRecord]:
        """Those of these tasks that are there and have not ended."""
        found = await self._redis.reads([("EXISTS", keys.task(company, *name)) for name in names])
        there = [name for name, exists in zip(names, found, strict=True) if exists]
        return [one for one in await self._tasks(company, there) if one.state not in FINAL]

    async def runs_at(self, company: str, task: str, agent: AgentId, first: int, count: int) -> list[Result | None]:
        """Finished runs of a task that goes on, the last hundred, oldest first; None in the place of a damaged one."""
        key = f"{keys.task(company, task, agent)}:runs"
        read = self._redis.damage.read
        return [read(key, _read_result, one) for one in await self._redis.read("ZRANGE", key, first, first + count - 1)]

    async def data(self, company: str, job_id: str) -> str:
        """What tasks of an older job get as data: it stands in the command of the first, as long as this is open."""
        first = await self._redis.read("LINDEX", f"{keys.job(company, job_id)}:tasks", 0)
        if not first:
            return ""
        raw = await self._redis.call("HGET", f"{keys.prefix(company)}task:{first.decode()}", "wire")
        return _envelope(raw).data if raw else ""

    async def change(
        self, company: str, job: JobRecord, mark: str, change: Change, *, moved: bool, told: Sequence[Told]
    ) -> str:
        """Change some tasks of an open job, and it with them: OK, CHANGED, ENDED, NONE. `moved`: in its priority."""
        document = job.document
        arguments: list[object] = [document.id, job.changes, mark, _encode(change)]
        arguments.append(change.priority if moved and change.priority is not None else "")
        for one in told:
            arguments += (one.id, str(one.agent), one.wire, one.by, one.by_wire)
        answer: bytes = await self._redis.run(scripts.CHANGE, [keys.prefix(company)], arguments)
        return answer.decode()

    async def runs_kept(self, company: str, task: str, agent: AgentId) -> int:
        """How many finished runs of a task there are to be read."""
        kept: int | None = await self._redis.read("ZCARD", f"{keys.task(company, task, agent)}:runs")
        return kept or 0

    async def _tasks(self, company: str, names: Sequence[tuple[str, AgentId]]) -> list[TaskRecord]:
        """These tasks; one whose record is not there or cannot be read stands there as CORRUPT."""
        wanted = [("HMGET", keys.task(company, task, agent), *_TASK_FIELDS) for task, agent in names]
        found = []
        for (task, agent), reply in zip(names, await self._redis.reads(wanted), strict=True):
            try:
                found.append(_task(task, agent, reply))
            except (ValueError, RecursionError):
                self._redis.damage.found(keys.task(company, task, agent))
                found.append(_damaged_task(task, agent))
        return found

    def _member(self, key: str, raw: bytes) -> tuple[str, AgentId] | None:
        try:
            task, _, agent = raw.decode().partition("@")
            return task, AgentId.parse(agent)
        except ValueError:
            self._redis.damage.found(key)
            return None

    async def cancel(
        self, company: str, unstarted: bytes, kills: Sequence[tuple[str, AgentId, str, bytes]]
    ) -> list[Cancelled]:
        """End tasks that have not started with the result `unstarted`; send the others their kill (id and wire)."""
        arguments: list[object] = [unstarted]
        for task, agent, kill, wire in kills:
            arguments += (task, str(agent), kill, wire)
        answer = await self._redis.run(scripts.CANCEL, [keys.prefix(company)], arguments)
        if answer and isinstance(answer[-1], list):
            self._redis.damage.tasks_ended(company, answer.pop())
        return [one.decode() for one in answer]

    async def expire(self, result: bytes, now_ms: int) -> int:
        """End up to 100 tasks that were not started in time; how many were looked at."""
        looked, damaged = await self._redis.run(scripts.EXPIRE, [keys.DEADLINES], [result, now_ms])
        self._redis.damage.tasks_ended("", damaged)
        return int(looked)

    async def retire(self, company: str) -> int:
        """Remove up to 100 finished jobs past their retention; how many went."""
        arguments = [retention.FINISHED_MS, retention.FINISHED_PER_COMPANY]
        gone: int = await self._redis.run(scripts.RETIRE, [keys.prefix(company)], arguments)
        return gone


_encode = msgspec.json.Encoder().encode
_document = msgspec.json.Decoder(JobDocument).decode
_result = msgspec.json.Decoder(Result).decode
_change = msgspec.json.Decoder(Change).decode
_envelope = msgspec.json.Decoder(Envelope).decode
_item = msgspec.json.Decoder(Item).decode
_read_planned = msgspec.json.Decoder(Planned).decode
_TASK_FIELDS = ("state", "result", "sent", "accepted", "finished", "kill_wanted", "runs", "log_dropped", "item")


_ENTRY = re.compile(rb"[0-9]{1,19}-[0-9]{1,19}")


def read_job(flat: list[bytes]) -> JobRecord:
    """ValueError or KeyError for what is no job."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    document = _document(fields[b"doc"])
    if bytes(document.args)[:1] != b"{":
        raise ValueError("the arguments of a command are an object")
    _ = document.places
    change = _change(fields.get(b"change", b"{}"))
    first, last, stream = (fields.get(name, b"") for name in (b"log_first", b"log_last", b"log_stream"))
    has_log = bool(stream and _ENTRY.fullmatch(first) and _ENTRY.fullmatch(last))
    return JobRecord(
        document=_changed(_grown(document, fields.get(b"added", b"").decode().split()), change),
        counts=_counts(fields),
        finished=_number(fields.get(b"finished")),
        log_stream=stream.decode() if has_log else None,
        log_first=first.decode() if has_log else "",
        log_last=last.decode() if has_log else "",
        ends={name[4:].decode(): end.decode() for name, end in fields.items() if name.startswith(b"dep:")},
        changes=fields.get(b"changes", b"0").decode(),
        change=change,
    )


def _grown(document: JobDocument, added: Sequence[str]) -> JobDocument:
    """On more agents than it was submitted for; ValueError for what is none."""
    if not added:
        return document
    _ = [AgentId.parse(one) for one in added]
    agents = list(dict.fromkeys([*(document.agents or (document.target,)), *added]))
    is_large = document.is_large or len(agents) > limits.AGENTS_PER_USER
    return msgspec.structs.replace(document, agents=() if is_large else agents, is_large=is_large)


def _changed(document: JobDocument, change: Change) -> JobDocument:
    priority = document.priority if change.priority is None else change.priority
    return msgspec.structs.replace(document, priority=priority, args=change.args(document.args))


def _counts(fields: Mapping[bytes, bytes]) -> dict[TaskState, int]:
    counts: dict[TaskState, int] = {state: int(fields.get(b"n:" + state.encode(), 0)) for state in TASK_STATES}
    if not any(n > 0 for n in counts.values()):
        raise ValueError("a job has tasks")
    return counts


def _damaged_job(id_: str) -> JobRecord:
    document = JobDocument(id=id_, cmd="", args=Raw(b"{}"), target="", user="", created=0, not_after=0)
    counts: dict[TaskState, int] = {**dict.fromkeys(TASK_STATES, 0), "ERROR": 1}
    return JobRecord(document, counts, None, None, "", "", damaged=True)


def _damaged_task(task: str, agent: AgentId) -> TaskRecord:
    return _task(task, agent, [b"ERROR", _encode(CORRUPT_RESULT), *[None] * (len(_TASK_FIELDS) - 2)])


def _read_result(raw: bytes) -> Result:
    if len(raw) > MOST_RESULT_BYTES:
        raise ValueError("longer than any result")
    return _result(raw)


def _task(task: str, agent: AgentId, fields: list[bytes | None]) -> TaskRecord:
    """ValueError for what is no task."""
    raw_state, result, sent, accepted, finished, kill_wanted, runs, dropped, item = fields
    state = (raw_state or b"").decode()
    if state not in TASK_STATES or (state in FINAL and result is None):
        raise ValueError("a task has a state, and a final one a result")
    return TaskRecord(
        id=task,
        agent=agent,
        state=state,
        result=None if result is None else _read_result(result),
        sent=_number(sent),
        accepted=_number(accepted),
        finished=_number(finished),
        kill_wanted=_number(kill_wanted),
        runs=_number(runs) or 0,
        log_dropped=_number(dropped) or 0,
        item=None if item is None else _item(item),
    )


def _planned(job: str, raw: bytes, rest: Sequence[bytes | None]) -> TaskRecord:
    """A task that is not made: BLOCKED, or ended as all of those did. ValueError for what is none."""
    planned = _read_planned(raw)
    state, result, at = rest
    return TaskRecord(
        id=planned.task_id(job),
        agent=AgentId.parse(planned.agent) if planned.agent else None,
        state="BLOCKED" if state is None else "KILLED" if state == b"KILLED" else "ERROR",
        result=None if result is None else _read_result(result),
        sent=None,
        accepted=None,
        finished=_number(at),
        kill_wanted=None,
        runs=0,
        log_dropped=0,
        item=planned.item,
    )


def _number(raw: bytes | None) -> int | None:
    return None if raw is None else int(raw)
