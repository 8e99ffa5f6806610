"""Fires schedules. Each master has one of these; each slot is planned once and dealt with by one of them at a time.

A slot's job has the slot's own id, so that it is submitted once although its master may die at any time, or be so slow
that another one has taken the schedule meanwhile. What time it is Redis says.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Raw
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from deployer.dispatch.audit import AuditTrail
from deployer.dispatch.jobs import Dispatcher, NewJob
from deployer.errors import ConflictError, DeployerError, ForbiddenError, NoSpaceError, NotFoundError, UnavailableError
from deployer.kit.clock import Clock, sleep
from deployer.kit.failpoints import reach
from deployer.model.access import Caller, Permission, lesser
from deployer.model.audit import Deed
from deployer.model.cron import BadCron, BadZone
from deployer.model.jobs import job_state
from deployer.model.schedules import Firing, Outcome, Schedule, Slot, decided, due, surplus
from deployer.protocol.states import FINAL
from deployer.stores.jobs import JobRecord
from deployer.stores.schedules import OUTCOMES, Named, ScheduleRecord, Schedules
from deployer.stores.users import Users

ROUNDS: Final = 100
TAKEN: Final = 5
"""So many schedules a master takes at once: what it takes, it has to deal with before the lease ends."""
AGAIN_MS: Final = 500
FAILED_MS: Final = 5000
TROUBLE_MS: Final = 60_000
MOST_PUT_OFF: Final = 1000
MAX_REASON: Final = 1000
TRIES: Final = 20
TRY_AGAIN_S: Final = 0.1

Check = Callable[[Caller, Raw], Awaitable[NewJob]]
"""Make a job of the body of a request, or raise what such a request is answered with."""


class RefusedError(DeployerError):
    """A schedule may not fire, for a reason of its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # a finer code than the class's


class Scheduler:
    """Plans slots and deals with them. `counts`: what became of those that this master dealt with."""

    log = Logger()

    def __init__(
        self,
        schedules: Schedules,
        users: Users,
        dispatcher: Dispatcher,
        *,
        check: Check,
        trail: AuditTrail,
        clock: Clock,
    ) -> None:
        self._schedules = schedules
        self._users = users
        self._dispatcher = dispatcher
        self._check = check
        self._trail = trail
        self._clock = clock
        self._put_off: dict[Named, int] = {}
        self.counts: dict[str, int] = dict.fromkeys(OUTCOMES, 0)

    async def round(self) -> None:
        """Plan what is due, and deal with what waits."""
        await self.plan()
        await self.deal()

    async def plan(self) -> None:
        """Let slots wait that are due."""
        now = await self._schedules.now()
        for _ in range(ROUNDS):
            found = [one for one in await self._schedules.due(now) if self._put_off.get(one, 0) <= now]
            if not found:
                return
            for one in found:
                await self._plan(one, now)

    async def deal(self) -> None:
        """Deal with slots that wait."""
        owner = secrets.token_hex(8)
        while taken := await self._schedules.take(owner, TAKEN):
            for one in taken:
                await self._deal_with(one, owner)

    async def run_now(self, caller: Caller, known: ScheduleRecord) -> JobRecord:
        """Start a schedule's job at once, with the rights of who asks.

        ConflictError while its job before is not final, unless that is replaced.
        """
        one, owner = Named(caller.company, known.schedule.id), secrets.token_hex(8)
        await self._take(one, owner)
        try:
            known = await self._schedules.schedule(one.company, one.id)
            new = await self._check(caller, known.schedule.job)
            before = await self._unfinished(one.company, known.job)
            if before is not None and known.schedule.overlap != "replace":
                raise ConflictError(f"its job {before} is not final: wait for it, or cancel it")
            if before is not None:
                await self._dispatcher.cancel(caller, before)
            job = f"{one.id}-run-{secrets.token_hex(8)}"
            record = await self._submit(caller, new, one, job)
            told = await self._schedules.now()
            await self._note(one, owner, None, Firing(outcome="fired", told=told, job=job, user=caller.user))
        finally:
            await self._schedules.let_go(one, owner)
        return record

    async def _take(self, one: Named, owner: str) -> None:
        for _ in range(TRIES):
            if await self._schedules.take(owner, 1, one):
                return
            await sleep(self._clock, TRY_AGAIN_S)
        raise ConflictError("this schedule fires at this moment: try again")

    async def _plan(self, one: Named, now: int) -> None:
        try:
            known = await self._schedules.schedule(one.company, one.id)
        except NotFoundError:
            await self._schedules.forget(one)
            return
        if known.next is None:
            self._leave(one, now)
            return
        try:
            plan = due(known.schedule, known.next, now)
        except (BadCron, BadZone) as error:
            self.log.warn("schedule {schedule} cannot be planned here: {error}", schedule=one.id, error=str(error))
            self._leave(one, now)
            return
        if await self._schedules.plan(one.company, known, plan, now):
            self.counts["missed"] += len(plan.missed)
            reach("schedule_planned")

    def _leave(self, one: Named, now: int) -> None:
        """To other masters, which may be able to plan it; this one looks at it again in a while."""
        if len(self._put_off) >= MOST_PUT_OFF:
            self._put_off.clear()
        self._put_off[one] = now + TROUBLE_MS

    async def _deal_with(self, one: Named, owner: str) -> None:
        again = 0
        try:
            again = await self._each(one, owner)
        except (UnavailableError, NoSpaceError, CancelledError):
            raise
        except NotFoundError:
            pass  # it is removed
        except Exception:  # noqa: BLE001 (whatever it was, it holds up no other schedule)
            self.log.failure("a slot of schedule {schedule} could not be dealt with", schedule=one.id)
            again = FAILED_MS
        finally:
            await self._schedules.let_go(one, owner, again)

    async def _each(self, one: Named, owner: str) -> int:
        """Deal with the slots of a schedule; in how many ms what still waits is to be looked at again."""
        waiting = await self._schedules.waiting(one)
        while waiting:
            known = await self._schedules.schedule(one.company, one.id)
            if known.schedule.paused:
                for slot in waiting:
                    await self._skip(one, owner, slot, "the schedule was paused", "paused")
                return 0
            before = await self._unfinished(one.company, known.job)
            if decided(known.schedule, before) == "wait":
                for slot in surplus(waiting):
                    await self._skip(one, owner, slot, f"another firing waits for the end of job {before} already")
                return AGAIN_MS
            await self._fire(one, owner, known, waiting.pop(0), before)
        return 0

    async def _fire(self, one: Named, owner: str, known: ScheduleRecord, slot: Slot, before: str | None) -> None:
        reach("schedule_taken")
        job = known.schedule.job_id(slot.at)
        if before is not None and decided(known.schedule, before) == "skip" and not await self._is_there(one, job):
            await self._skip(one, owner, slot, f"job {before} is not final")
            return
        outcome, code, reason = await self._started(one, known.schedule, job, before)
        reach("schedule_submitted")
        firing = Firing(
            outcome=outcome,
            at=slot.at,
            told=await self._schedules.now(),
            job=job if outcome == "fired" else None,
            code=code,
            reason=reason,
            made_up=slot.made_up,
        )
        await self._note(one, owner, slot, firing)

    async def _started(
        self, one: Named, schedule: Schedule, job: str, before: str | None
    ) -> tuple[Outcome, str | None, str | None]:
        """Submit a slot's job; the outcome, and why it was refused."""
        if await self._is_there(one, job):  # its master has died since
            return "fired", None, None
        try:
            caller = await self._caller(one.company, schedule)
            new = await self._check(caller, schedule.job)
            if before is not None:
                await self._dispatcher.cancel(caller, before)
            await self._submit(caller, new, one, job)
        except UnavailableError:
            raise
        except DeployerError as error:
            if await self._is_there(one, job):  # another master was faster
                return "fired", None, None
            self.log.warn("schedule {schedule} is refused: {error}", schedule=one.id, error=str(error))
            return "refused", error.code, str(error)[:MAX_REASON]
        return "fired", None, None

    async def _submit(self, caller: Caller, new: NewJob, one: Named, job: str) -> JobRecord:
        action = "schedule fires"
        deed = Deed(user=caller.user, address="schedule", action=action, object=f"{one.id}/{job}", decision="allowed")
        await self._trail.note(one.company, deed)
        record, _ = await self._dispatcher.submit(caller, msgspec.structs.replace(new, id=job, schedule=one.id))
        return record

    async def _caller(self, company: str, schedule: Schedule) -> Caller:
        """Whose rights a schedule has; RefusedError, ForbiddenError."""
        user = await self._users.find(company, schedule.user)
        if user is None or user.id != schedule.user_id:
            raise RefusedError(
                "user_gone", f"its user {schedule.user} does not exist any more: change it, to be its user"
            )
        if user.disabled:
            raise RefusedError("user_disabled", f"its user {schedule.user} is disabled")
        caller = Caller(user.name, company, lesser(schedule.role, user.role), "", user.agents)
        if not caller.may(Permission.EXECUTE):
            raise ForbiddenError(f"its user {schedule.user} may not run jobs any more")
        return caller

    async def _unfinished(self, company: str, job: str | None) -> str | None:
        """The job before, if it is not final."""
        if job is None:
            return None
        try:
            record = await self._dispatcher.job(company, job)
        except NotFoundError:
            return None
        return None if job_state(record.counts) in FINAL else job

    async def _is_there(self, one: Named, job: str) -> bool:
        """Whether a job of this schedule was submitted."""
        try:
            return (await self._dispatcher.job(one.company, job)).document.schedule == one.id
        except NotFoundError:
            return False

    async def _skip(self, one: Named, owner: str, slot: Slot, reason: str, code: str = "overlap") -> None:
        told = await self._schedules.now()
        firing = Firing(outcome="skipped", at=slot.at, told=told, code=code, reason=reason, made_up=slot.made_up)
        await self._note(one, owner, slot, firing)

    async def _note(self, one: Named, owner: str, slot: Slot | None, firing: Firing) -> None:
        if await self._schedules.note(one, owner, slot, firing):
            self.counts[firing.outcome] += 1
