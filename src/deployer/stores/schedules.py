"""Schedules in Redis, and their slots: each is planned once and dealt with by one master at a time.

A slot that is due moves from `next` of its schedule to the slots that wait, by PLAN. A master takes the schedule for
`LEASE_MS`, deals with what waits, notes each outcome, and lets go. When it dies, another one takes the schedule.
"""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

import msgspec
from msgspec import Struct

from deployer.errors import ChangedError, ConflictError, DeployerError, NotFoundError
from deployer.model import limits
from deployer.model.schedules import KEPT, Firing, Outcome, Plan, Schedule, Slot
from deployer.stores import keys, scripts
from deployer.stores.companies import new_version
from deployer.stores.redis import Redis

READ: Final = 100
LEASE_MS: Final = 10_000
OUTCOMES: Final[Sequence[Outcome]] = get_args(Outcome)


class ScheduleRecord(Struct, frozen=True):
    """A schedule as it stands. `next`: its next slot; `planned`: the last that was; `job`: the last that it started.

    `untold`: how many were missed, and since when, of which more are to be looked at before that is told.
    """

    schedule: Schedule
    version: str
    next: int | None
    planned: int
    job: str | None
    counts: Mapping[Outcome, int]
    untold: tuple[int, int] = (0, 0)


class Named(Struct, frozen=True):
    """A company's schedule."""

    company: str
    id: str

    @property
    def member(self) -> str:
        """Its name among those of all companies."""
        return f"{keys.prefix(self.company)}|{self.id}"


class Schedules:
    """Finds, makes, changes and removes schedules; plans their slots and notes what became of them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def now(self) -> int:
        """Redis' time, in epoch ms: the one by which all masters decide."""
        seconds, micros = await self._redis.call("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def schedule(self, company: str, id_: str) -> ScheduleRecord:
        """One; NotFoundError when the company has none of this id."""
        (found,) = await self._schedules(company, [id_])
        if found is None:
            raise NotFoundError("this schedule does not exist")
        return found

    async def named(self, company: str, name: str) -> ScheduleRecord | None:
        """The one of this name."""
        raw = await self._redis.read("HGET", f"{keys.schedules(company)}:names", name)
        return None if raw is None else (await self._schedules(company, [raw.decode("utf-8", "replace")]))[0]

    async def listed(self, company: str, after: str | None, count: int) -> list[tuple[str, ScheduleRecord | None]]:
        """Ids by their making, those after `after`; None in the place of one that cannot be read."""
        start = "-" if after is None else f"({after}"
        raws = await self._redis.read("ZRANGEBYLEX", keys.schedules(company), start, "+", "LIMIT", 0, count)
        ids = [raw.decode("utf-8", "replace") for raw in raws]
        return list(zip(ids, await self._schedules(company, ids), strict=True))

    async def firings(self, company: str, id_: str, count: int = KEPT) -> list[Firing]:
        """The last ones, newest first."""
        return (await self.last(company, [id_], count))[0]

    async def last(self, company: str, ids: Sequence[str], count: int = 1) -> list[list[Firing]]:
        """The last ones of each of these."""
        named = [f"{keys.schedule(company, one)}:firings" for one in ids]
        replies = await self._redis.reads([("LRANGE", key, 0, count - 1) for key in named])
        read = self._redis.damage.read
        found = [[read(key, _firing, raw) for raw in raws] for key, raws in zip(named, replies, strict=True)]
        return [[one for one in some if one is not None] for some in found]

    async def put(
        self,
        company: str,
        wanted: Schedule,
        next_: int | None,
        known: ScheduleRecord | None = None,
        *,
        same: bool = False,
    ) -> None:
        """Keep a new one, or another one in the place of `known`; `same`: its next slot is as it was.

        ConflictError when the name is taken or there are too many, ChangedError, NotFoundError.
        """
        version, planned = ("", 0) if known is None else (known.version, known.planned)
        slot = "=" if same else "" if next_ is None else next_
        due = 0 if next_ is None else wanted.due_at(next_)
        given = [wanted.id, wanted.name, version, new_version(), _encode(wanted), planned]
        given += [slot, due, limits.SCHEDULES_PER_COMPANY]
        _require(await self._redis.run(scripts.SCHEDULE, [keys.prefix(company)], given))

    async def drop(self, company: str, known: ScheduleRecord) -> None:
        """Remove one; ChangedError when it is not any more as it was read."""
        _require(
            await self._redis.run(scripts.DROP_SCHEDULE, [keys.prefix(company)], [known.schedule.id, known.version])
        )

    async def due(self, now: int) -> list[Named]:
        """Schedules of all companies whose next slot is due."""
        raws = await self._redis.read("ZRANGEBYSCORE", keys.SCHEDULES, "-inf", now, "LIMIT", 0, READ)
        found = [(raw, _named(raw)) for raw in raws]
        for raw, one in found:
            if one is None:
                await self._redis.call("ZREM", keys.SCHEDULES, raw)
        return [one for _, one in found if one is not None]

    async def plan(self, company: str, known: ScheduleRecord, plan: Plan, now: int) -> bool:
        """Let the slots of a plan wait; False when it has none, another master has, or the schedule has changed."""
        if plan.next == known.next:
            return False
        wanted = known.schedule
        due = 0 if plan.next is None else wanted.due_at(plan.next)
        report = b"" if plan.more else _of_missed(known, plan, now)
        given: list[object] = [wanted.id, known.version, known.next, _or_nothing(plan.next), due]
        given += [plan.last, len(plan.missed), plan.missed[0] if plan.more else "", report, *map(str, plan.fire)]
        done: int = await self._redis.run(scripts.PLAN_SLOTS, [keys.prefix(company)], given)
        return done == 1

    async def forget(self, one: Named) -> None:
        """It is gone, or cannot be read."""
        await self._redis.call("ZREM", keys.SCHEDULES, one.member)

    async def take(self, owner: str, count: int, only: Named | None = None) -> list[Named]:
        """Have schedules whose slots wait for oneself, or the one that is wanted, for `LEASE_MS`."""
        given = [owner, LEASE_MS, count, "" if only is None else only.member]
        found = [_named(raw) for raw in await self._redis.run(scripts.TAKE, [keys.FIRINGS], given)]
        return [one for one in found if one is not None]

    async def waiting(self, one: Named) -> list[Slot]:
        """Slots that wait, in their order."""
        key = f"{keys.schedule(one.company, one.id)}:waiting"
        read = self._redis.damage.read
        raws = await self._redis.read("LRANGE", key, 0, -1)
        found = [(raw, read(key, _slot, raw)) for raw in raws]
        for raw, slot in found:
            if slot is None:
                await self._redis.call("LREM", key, 1, raw)
        return [slot for _, slot in found if slot is not None]

    async def note(self, one: Named, owner: str, slot: Slot | None, firing: Firing) -> bool:
        """Keep what became of a slot, or of a firing that was asked for; False for who has it no more."""
        given = [one.id, owner, _or_nothing(slot), firing.outcome, _encode(firing), firing.job or ""]
        done: int = await self._redis.run(scripts.FIRED, [keys.prefix(one.company)], given)
        return done == 1

    async def let_go(self, one: Named, owner: str, wait_ms: int = 0) -> None:
        """Another master may have it, if something still waits, so much later."""
        given = [one.member, keys.schedule(one.company, one.id), owner, wait_ms]
        await self._redis.run(scripts.LET_GO, [keys.FIRINGS], given)

    async def _schedules(self, company: str, ids: Sequence[str]) -> list[ScheduleRecord | None]:
        replies = await self._redis.reads([("HGETALL", keys.schedule(company, one)) for one in ids])
        return [self._schedule(company, one, reply or []) for one, reply in zip(ids, replies, strict=True)]

    def _schedule(self, company: str, id_: str, flat: Sequence[bytes]) -> ScheduleRecord | None:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if not fields:
            return None
        try:
            return _record(fields)
        except (ValueError, KeyError, RecursionError):
            self._redis.damage.found(keys.schedule(company, id_))
            return None


_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Schedule).decode
_firing = msgspec.json.Decoder(Firing).decode
_REFUSALS: Final[dict[bytes, DeployerError]] = {
    b"GONE": NotFoundError("this schedule does not exist"),
    b"CHANGED": ChangedError("this schedule has changed since it was read: read it again"),
    b"TAKEN": ConflictError("another schedule has this name"),
    b"FULL": ConflictError(f"a company has at most {limits.SCHEDULES_PER_COMPANY} schedules"),
}


def _require(answer: bytes) -> None:
    if answer != b"OK":
        raise _REFUSALS[answer]


def _record(fields: Mapping[bytes, bytes]) -> ScheduleRecord:
    """ValueError or KeyError for what is no schedule."""
    next_, job = fields.get(b"next"), fields.get(b"job")
    return ScheduleRecord(
        schedule=_read(fields[b"doc"]),
        version=fields[b"version"].decode(),
        next=None if next_ is None else int(next_),
        planned=int(fields.get(b"planned", 0)),
        job=None if job is None else job.decode(),
        untold=(int(fields.get(b"untold", 0)), int(fields.get(b"untold_since", 0))),
        counts={one: int(fields.get(f"n:{one}".encode(), 0)) for one in OUTCOMES},
    )


def _of_missed(known: ScheduleRecord, plan: Plan, now: int) -> bytes:
    """What is told of those of this plan and of the plans before it; nothing when there are none."""
    count, since = known.untold
    if not count and not plan.missed:
        return b""
    first = since if count else plan.missed[0]
    until = plan.missed[-1] if plan.missed else known.planned
    return _encode(Firing(outcome="missed", at=first, until=until, count=count + len(plan.missed), told=now))


def _slot(raw: bytes) -> Slot:
    return Slot.parse(raw.decode())


def _or_nothing(value: object) -> str:
    return "" if value is None else str(value)


def _named(raw: bytes) -> Named | None:
    prefix, _, id_ = raw.decode("utf-8", "replace").partition("|")
    names = prefix.split(":")
    return Named(names[2], id_) if id_ and len(names) == 4 else None  # noqa: PLR2004 (dpl, c, company, nothing)
