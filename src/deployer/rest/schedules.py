"""Schedules: jobs that are repeated by a cron expression or a period."""

from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct
from twisted.logger import Logger

from deployer.dispatch.scheduler import Scheduler
from deployer.errors import ChangedError, ForbiddenError, NotFoundError, UnavailableError
from deployer.kit.clock import WallClock
from deployer.model.access import Caller, Permission
from deployer.model.cron import BadCron, BadZone
from deployer.model.schedules import CatchUp, Firing, Outcome, Overlap, Schedule
from deployer.protocol.ids import new_id
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.answers import Answer
from deployer.rest.conditional import Match, etag
from deployer.rest.endpoint import endpoint
from deployer.rest.jobanswers import JobAnswer, job_answer
from deployer.rest.paging import PageQuery
from deployer.rest.parts import Parts
from deployer.rest.references import JobReference, UserReference, job_reference, schedule_reference, user_reference
from deployer.rest.schedulerequests import (
    TIMING,
    ScheduleChange,
    ScheduledJobs,
    ScheduleRequest,
    changed,
    fields_of,
    new_fields,
    next_slot,
)
from deployer.stores.schedules import ScheduleRecord, Schedules
from deployer.stores.users import Users

TRIES: Final = 10
SHOWN: Final = 5
"""So many of the next firings are shown."""


class SchedulesQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which schedules: of this name, paused or not, of this user; what is left out is any."""

    name: Annotated[str, Meta(max_length=63)] | None = None
    paused: bool | None = None
    user: Annotated[str, Meta(max_length=1000)] | None = None

    def fits(self, one: Schedule) -> bool:
        """Whether a schedule is one of those."""
        pairs = ((self.name, one.name), (self.paused, one.paused), (self.user, one.user))
        return all(wanted is None or wanted == its for wanted, its in pairs)


class FiringAnswer(Struct, frozen=True, kw_only=True):
    """What became of a firing. `at`: the time that it was for, null for one that a `user` asked for; `told`: when.

    `code` and `reason` say why it was skipped or refused. `missed` stands for `count` times, from `at` to `until`.
    `made_up`: it was missed, and fired later.
    """

    outcome: Outcome
    at: str | None
    told: str
    job: JobReference | None
    code: str | None
    reason: str | None
    user: UserReference | None
    count: int
    until: str | None
    made_up: bool


class FiringPage(Struct, frozen=True):
    """The last firings, newest first, and where the next ones begin."""

    items: list[FiringAnswer]
    next: str | None


class FiringsReference(Struct, frozen=True):
    """Where the last firings are."""

    href: str


class ScheduleAnswer(Struct, frozen=True, kw_only=True):
    """A schedule as clients see it. `next`: when it fires next, its jitter included; `counts`: firings by outcome."""

    id: str
    href: str
    name: str
    cron: str | None
    timezone: str
    every_s: int | None
    jitter_s: int
    overlap: Overlap
    catch_up: CatchUp
    paused: bool
    start: str | None
    end: str | None
    job: Raw
    user: UserReference
    created: str
    next: str | None
    last: FiringAnswer | None
    counts: dict[str, int]
    firings: FiringsReference


class ShownSchedule(ScheduleAnswer, frozen=True, kw_only=True):
    """The same with the next five firings."""

    next_firings: list[str]


class SchedulePage(Struct, frozen=True):
    """Some schedules by their making, and where the next ones begin."""

    items: list[ScheduleAnswer]
    next: str | None


class RemovedSchedule(Struct, frozen=True):
    """It fires no more."""

    id: str


class ScheduleRoutes:
    """`/api/v1/schedules`. Who may use some agents only has the schedules that are its own, and knows of no others."""

    log = Logger()

    def __init__(
        self, schedules: Schedules, users: Users, scheduler: Scheduler, jobs: ScheduledJobs, wall: WallClock
    ) -> None:
        self._schedules = schedules
        self._users = users
        self._scheduler = scheduler
        self._jobs = jobs
        self._wall = wall

    @endpoint("GET", "/api/v1/schedules", needs=Permission.READ, returns=SchedulePage, query=SchedulesQuery)
    async def list_all(self, caller: Caller, query: SchedulesQuery) -> SchedulePage:
        """The company's schedules."""
        found = await self._found(caller, query)
        page = found[: query.limit]
        last = await self._schedules.last(caller.company, [one.schedule.id for one in page])
        items = [ScheduleAnswer(**_fields(one, its)) for one, its in zip(page, last, strict=True)]
        return SchedulePage(items, page[-1].schedule.id if len(found) > query.limit else None)

    @endpoint(
        "POST",
        "/api/v1/schedules",
        needs=Permission.EXECUTE,
        returns=ShownSchedule,
        body=ScheduleRequest,
        statuses=(201,),
    )
    async def make(self, caller: Caller, body: ScheduleRequest) -> Answer:
        """Repeat a job from now on."""
        given = new_fields(body)
        now = await self._schedules.now()
        owner = await self._owner(caller)
        wanted = Schedule(id=new_id(self._wall()), created=now // 1000 * 1000, **owner, **given)
        slot = next_slot(wanted, now)
        await self._jobs.require(caller, wanted.job)
        await self._schedules.put(caller.company, wanted, slot)
        self.log.warn("audit: user {user} makes schedule {schedule}", user=caller.user, schedule=wanted.id)
        return await self._shown(await self._schedules.schedule(caller.company, wanted.id), caller, 201)

    @endpoint("GET", "/api/v1/schedules/<schedule>", needs=Permission.READ, returns=ShownSchedule)
    async def show(self, caller: Caller, schedule: str) -> Answer:
        """One schedule."""
        return await self._shown(await self._known(caller, schedule), caller)

    @endpoint("GET", "/api/v1/schedules/<schedule>/firings", needs=Permission.READ, returns=FiringPage, query=PageQuery)
    async def firings(self, caller: Caller, schedule: str, query: PageQuery) -> FiringPage:
        """What became of its last twenty firings."""
        known = await self._known(caller, schedule)
        found = await self._schedules.firings(caller.company, known.schedule.id)
        start = Parts(query.cursor, query.limit).at
        end = start + query.limit
        return FiringPage([_firing(one) for one in found[start:end]], str(end) if end < len(found) else None)

    @endpoint(
        "POST",
        "/api/v1/schedules/<schedule>/run",
        needs=Permission.EXECUTE,
        returns=JobAnswer,
        statuses=(202,),
    )
    async def run(self, caller: Caller, schedule: str) -> Answer:
        """Start its job now, with the rights of who asks; 409 while the job before is not final, but for `replace`."""
        known = await self._known(caller, schedule)
        await self._jobs.require(caller, known.schedule.job)
        answer = job_answer(await self._scheduler.run_now(caller, known))
        return Answer(answer, 202, (("location", answer.href),))

    @endpoint(
        "PATCH",
        "/api/v1/schedules/<schedule>",
        needs=Permission.EXECUTE,
        returns=ShownSchedule,
        body=ScheduleChange,
        conditional=True,
    )
    async def change(self, caller: Caller, schedule: str, body: ScheduleChange, match: Match) -> Answer:
        """Change it, stop it for a while (`paused`), let it go on."""
        given = fields_of(body)
        for _ in range(TRIES):
            known = await self._known(caller, schedule)
            match.require(known.version)
            wanted = await self._wanted(caller, known, given)
            same = all(getattr(wanted, name) == getattr(known.schedule, name) for name in TIMING)
            slot = None if same else next_slot(wanted, max(await self._schedules.now(), known.planned))
            try:
                await self._schedules.put(caller.company, wanted, slot, known, same=same)
            except ChangedError:
                continue
            self.log.warn("audit: user {user} changes schedule {schedule}", user=caller.user, schedule=schedule)
            return await self._shown(await self._known(caller, schedule), caller)
        raise UnavailableError("this schedule changes too fast; try again in a moment")

    @endpoint(
        "DELETE",
        "/api/v1/schedules/<schedule>",
        needs=Permission.EXECUTE,
        returns=RemovedSchedule,
        conditional=True,
    )
    async def remove(self, caller: Caller, schedule: str, match: Match) -> RemovedSchedule:
        """Let it fire no more. Jobs that it has started go on."""
        for _ in range(TRIES):
            known = await self._known(caller, schedule)
            match.require(known.version)
            try:
                await self._schedules.drop(caller.company, known)
            except ChangedError:
                continue
            self.log.warn("audit: user {user} removes schedule {schedule}", user=caller.user, schedule=schedule)
            return RemovedSchedule(known.schedule.id)
        raise UnavailableError("this schedule changes too fast; try again in a moment")

    async def _found(self, caller: Caller, query: SchedulesQuery) -> list[ScheduleRecord]:
        """Those that are asked for, one more than a page has."""
        own = await self._own(caller)
        if query.name is not None:
            one = await self._schedules.named(caller.company, query.name)
            named = [] if one is None or (query.cursor or "") >= one.schedule.id else [one]
            return [one for one in named if _is_seen(own, one) and query.fits(one.schedule)]
        found: list[ScheduleRecord] = []
        after = query.cursor
        while len(found) <= query.limit and (
            page := await self._schedules.listed(caller.company, after, query.limit + 1)
        ):
            records = [one for _, one in page if one is not None]
            found += [one for one in records if _is_seen(own, one) and query.fits(one.schedule)]
            after = page[-1][0]
        return found[: query.limit + 1]

    async def _known(self, caller: Caller, schedule: str) -> ScheduleRecord:
        if len(schedule) != 32 or not schedule.isascii() or not schedule.isalnum():  # noqa: PLR2004 (ids.new_id)
            raise NotFoundError("this schedule does not exist")
        known = await self._schedules.schedule(caller.company, schedule)
        if not _is_seen(await self._own(caller), known):
            raise NotFoundError("this schedule does not exist")
        return known

    async def _own(self, caller: Caller) -> str | None:
        """The user's id of who may use some agents only, and sees no schedules but the own ones; None for all others.

        A name may be given again, an id is not.
        """
        if caller.agents is None:
            return None
        user = await self._users.find(caller.company, caller.user)
        return "" if user is None else user.id

    async def _owner(self, caller: Caller) -> dict[str, Any]:
        """With whose rights it acts."""
        user = await self._users.find(caller.company, caller.user)
        if user is None:
            raise ForbiddenError("only a user of the company can have schedules")
        return {"user": user.name, "user_id": user.id, "role": caller.role}

    async def _wanted(self, caller: Caller, known: ScheduleRecord, given: dict[str, Any]) -> Schedule:
        """The schedule with these changes; its job must be one that its user may run."""
        wanted = changed(known.schedule, given)
        if not given or set(given) == {"paused"}:
            return wanted
        await self._jobs.require(caller, wanted.job)
        return msgspec.structs.replace(wanted, **await self._owner(caller))

    async def _shown(self, record: ScheduleRecord, caller: Caller, status: int = 200) -> Answer:
        last = await self._schedules.firings(caller.company, record.schedule.id, 1)
        coming = [iso(record.schedule.due_at(slot)) for slot in _coming(record)]
        answer = ShownSchedule(**_fields(record, last), next_firings=coming)
        return Answer(answer, status, (etag(record.version), ("location", answer.href)), changing=True)


def _is_seen(own: str | None, record: ScheduleRecord) -> bool:
    """Whether a schedule is there: for who sees only the `own` ones, by the id of its user."""
    return own is None or record.schedule.user_id == own


def _coming(record: ScheduleRecord) -> list[int]:
    if record.next is None:
        return []
    try:
        return list(islice(record.schedule.slots(record.next - 1), SHOWN))
    except (BadCron, BadZone):  # kept by a master that knew the zone
        return [record.next]


def _fields(record: ScheduleRecord, last: list[Firing]) -> dict[str, Any]:
    one = record.schedule
    reference = schedule_reference(one.id)
    return {
        "id": one.id,
        "href": reference.href,
        "name": one.name,
        "cron": one.cron,
        "timezone": one.timezone,
        "every_s": one.every_s,
        "jitter_s": one.jitter_s,
        "overlap": one.overlap,
        "catch_up": one.catch_up,
        "paused": one.paused,
        "start": iso_or_none(one.start),
        "end": iso_or_none(one.end),
        "job": one.job,
        "user": user_reference(one.user),
        "created": iso(one.created),
        "next": None if record.next is None else iso(one.due_at(record.next)),
        "last": _firing(last[0]) if last else None,
        "counts": dict(record.counts),
        "firings": FiringsReference(f"{reference.href}/firings"),
    }


def _firing(one: Firing) -> FiringAnswer:
    return FiringAnswer(
        outcome=one.outcome,
        at=iso_or_none(one.at),
        told=iso(one.told),
        job=None if one.job is None else job_reference(one.job),
        code=one.code,
        reason=one.reason,
        user=None if one.user is None else user_reference(one.user),
        count=one.count,
        until=iso_or_none(one.until),
        made_up=one.made_up,
    )
