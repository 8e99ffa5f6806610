"""Plans of jobs in Redis: tasks that are made later, by whichever master comes first."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from deployer.model import limits
from deployer.model.plans import Planned
from deployer.protocol.commands import CONTROL
from deployer.protocol.ids import AgentId
from deployer.stores import keys, scripts
from deployer.stores.jobs import JobDocument, JobRecord, read_job
from deployer.stores.redis import Redis
from deployer.stores.server import memory_use

Verdict = Literal["MADE", "FULL", "GONE"]
LEASE_MS: Final = 15_000
TOLD_TOGETHER: Final = 100
REINDEXED: Final = 1000


class Need(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the tasks of a plan share. `agents`: those that may have a task which names none."""

    data: str = ""
    agents: Sequence[str] = ()


class Taken(Struct, frozen=True):
    """A plan that this master looks at, until the time that Redis calls `score`."""

    company: str
    job: str
    member: bytes
    score: bytes


class Plan(Struct, frozen=True, kw_only=True):
    """A job with the next of its planned tasks."""

    job: JobRecord
    raw: Sequence[bytes]
    planned: Sequence[Planned]
    need: Need


class Made(Struct, frozen=True, kw_only=True):
    """A planned task as it is to be made; `agent` is none where nobody has room. Limits: none is any."""

    raw: bytes
    id: str
    agent: AgentId | None = None
    wire: bytes = b""
    item: bytes = b""
    ram: int = 0
    load: int = 0
    max_ram: int | None = None
    max_load: int | None = None
    max_jobs: int | None = None


class Room(Struct, frozen=True):
    """What an agent has to do, and what of its memory (bytes) and load (thousandths of a core) is held."""

    jobs: int
    ram: int
    load: int


class Plans:
    """Accepts, looks at, makes and ends them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def accept(
        self, company: str, document: JobDocument, sha: str, need: Need, planned: Sequence[Planned]
    ) -> str:
        """Store a job with all its tasks planned; durable when this returns OK.

        Else DUP, CONFLICT, FULL, MANY (too many jobs wait for one of these), or NO_JOB:<which of those it waits for>.
        """
        waits = [one.id for one in document.depends_on]
        arguments: list[object] = [
            document.id,
            sha,
            encode(document),
            document.created,
            document.not_after,
            limits.OPEN_PER_COMPANY,
            document.user,
            encode(need),
            document.priority,
            len(waits),
            *waits,
            *map(encode, planned),
        ]
        answer: bytes = await self._redis.run(scripts.PLAN, [keys.prefix(company)], arguments)
        return answer.decode()

    async def reindex(self, company: str, place: int) -> int:
        """See that all plans, schedules and webhooks of a company are looked at in time; a part of them each time.

        The next place in the list of jobs, 0 at its end.
        """
        named = [keys.prefix(company), keys.PLANS, keys.SCHEDULES, keys.FIRINGS, keys.WEBHOOKS]
        following: int = await self._redis.run(scripts.REINDEX, named, [place, REINDEXED])
        return following

    async def tell(self) -> bool:
        """Tell some jobs of the end of one that they wait for; whether there was one."""
        return await self._redis.run(scripts.TELL, [keys.ENDED], [TOLD_TOGETHER]) is not None

    async def take(self) -> Taken | None:
        """A plan that is due, which no other master looks at meanwhile."""
        answer = await self._redis.run(scripts.TAKE_DUE, [keys.PLANS], [LEASE_MS])
        if answer is None:
            return None
        prefix, _, job = answer[0].decode("utf-8", "replace").partition("|")
        return Taken(keys.company_of(prefix), job, *answer)

    async def leave(self, taken: Taken, look_again_ms: int | None) -> None:
        """It was looked at; None: there is nothing more to be looked for."""
        again = "" if look_again_ms is None else look_again_ms
        await self._redis.run(scripts.LEAVE_DUE, [keys.PLANS], [taken.member, taken.score, again])

    async def memory(self) -> float:
        """The share of Redis' memory in use, now: what makes many tasks may fill it between two looks of others."""
        return await memory_use(self._redis)

    async def wait_for_room(self, company: str, job: JobRecord) -> None:
        """Have the job looked at when there is room on an agent, before others with a lower priority."""
        await self._redis.call("ZADD", f"{keys.prefix(company)}hungry", -job.document.priority, job.document.id)

    async def look(self, company: str, job: str, count: int) -> Plan | None:
        """The job and the next planned tasks; None when it has no plan. ValueError when it is damaged."""
        answer = await self._redis.run(scripts.LOOK_PLAN, [keys.job(company, job)], [count])
        if answer is None:
            return None
        flat, raw, need = answer
        return Plan(
            job=read_job(flat),
            raw=raw,
            planned=[_planned(one) for one in raw],
            need=_need(need or b""),  # without it nobody knows what the tasks get as data
        )

    async def make(self, company: str, job: JobRecord, made: Sequence[Made], gone: bytes) -> Sequence[Verdict] | None:
        """Bring tasks to their agents; None when the plan is not as it was seen: look again.

        `gone`: the result of those whose agent is revoked.
        """
        document = job.document
        arguments: list[object] = [
            document.id,
            job.changes,
            document.max_failures,
            document.priority,
            limits.QUEUE_PER_AGENT,
            document.not_after,
            gone,
            "control" if document.cmd in CONTROL else "queue",
        ]
        for one in made:
            arguments += (one.raw, one.id, one.agent or "", one.wire, one.item, one.ram, one.load)
            arguments += ("" if it is None else it for it in (one.max_ram, one.max_load, one.max_jobs))
        answer = await self._redis.run(scripts.MAKE, [keys.prefix(company)], [_text(one) for one in arguments])
        return None if isinstance(answer, bytes) else [one.decode() for one in answer]

    async def end(self, company: str, job: str, state: str, result: bytes) -> int:
        """No more tasks are made; how many ended so."""
        named = [keys.prefix(company), keys.PLANS]
        ended: int = await self._redis.run(scripts.END_PLAN, named, [job, state, result])
        return ended

    async def more(self, company: str, job: str, need: Need, planned: Sequence[Planned]) -> int | str:
        """Plan more tasks of an open job; the number of the first, or NONE, ENDED, FULL, MOST."""
        added = " ".join(dict.fromkeys(one.agent for one in planned if one.agent))
        arguments = [job, limits.TASKS_PER_JOB, limits.OPEN_PER_COMPANY, encode(need), added, *map(encode, planned)]
        answer: int | bytes = await self._redis.run(scripts.MORE_TASKS, [keys.prefix(company)], arguments)
        text = answer if isinstance(answer, int) else answer.decode()
        return int(text) if str(text).isdigit() else text

    async def rooms(self, agents: Sequence[AgentId]) -> list[Room]:
        """What each of these agents has to do and holds."""
        wanted: list[tuple[str, ...]] = []
        for one in agents:
            key = keys.agent(one)
            wanted += [
                ("HMGET", key, "held_ram", "held_load"),
                ("LLEN", f"{key}:queue"),
                ("ZCARD", f"{key}:ranked"),
                ("ZCARD", f"{key}:inflight"),
                ("ZCARD", f"{key}:running"),
            ]
        found = await self._redis.reads(wanted)
        return [_room(*found[n : n + 5]) for n in range(0, len(found), 5)]

    async def need(self, company: str, job: str) -> Need | None:
        """What the tasks of a job's plan share; None when it has none."""
        raw = await self._redis.call("GET", f"{keys.job(company, job)}:more")
        return None if raw is None else _need(raw)


encode = msgspec.json.Encoder().encode
_read_planned = msgspec.json.Decoder(Planned).decode
_need = msgspec.json.Decoder(Need).decode


def _planned(raw: bytes) -> Planned:
    """ValueError for what is none."""
    read = _read_planned(raw)
    if read.agent:
        AgentId.parse(read.agent)
    elif not read.n:
        raise ValueError("a planned task has an agent or a number")
    return read


def _text(value: object) -> object:
    return str(value) if isinstance(value, AgentId) else value


def _room(held: Sequence[bytes | None] | None, *sizes: int | None) -> Room:
    ram, load = (_number(one) for one in held or (None, None))
    jobs = sum(one or 0 for one in sizes)
    return Room(jobs, ram, load) if jobs else Room(0, 0, 0)  # what nobody holds any more was left by a damaged record


def _number(raw: bytes | None) -> int:
    try:
        return max(int(raw or 0), 0)
    except ValueError:
        return 0
