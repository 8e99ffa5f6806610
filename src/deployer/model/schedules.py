"""Jobs that are repeated: when, and what becomes of each time (DESIGN 1). Pure: all times are epoch ms and given.

A schedule has slots: the times at which it is to fire, in their order. Each is dealt with once: it starts a job, or is
skipped (the job before still runs), missed (no master was there), or refused (its user may not any more). A slot is on
time until it is `GRACE_MS` late, so that a master that is restarted misses nothing.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from deployer.model.access import Role
from deployer.model.cron import LAST_MS, MAX_CHARS, Cron
from deployer.protocol.commands import TEN_YEARS_S

GRACE_MS: Final = 30_000
MADE_UP: Final = 100
"""So many missed slots are made up for at most."""
A_LOOK: Final = 400
"""So many slots are dealt with at once, beside those that may be made up for."""
KEPT: Final = 20
"""So many firings are kept with a schedule."""
MAX_JITTER_S: Final = 3600

ScheduleName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z")]
CronText = Annotated[
    str, Meta(min_length=1, max_length=MAX_CHARS, description="minute hour day month weekday, or @hourly, @daily, …")
]
Zone = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+_/-]{1,64}\Z", description="a name of IANA's, as Europe/Berlin")]
Period = Annotated[int, Meta(ge=1, le=TEN_YEARS_S, description="seconds")]
Jitter = Annotated[int, Meta(ge=0, le=MAX_JITTER_S, description="seconds")]
Overlap = Literal["skip", "queue", "replace"]
CatchUp = Literal["none", "one", "all"]
Outcome = Literal["fired", "skipped", "missed", "refused"]


class Schedule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a schedule is. Either `cron` or `every_s`. `job`: the body of POST /api/v1/jobs.

    `user` (with `user_id`, since a name may be given again): who made it or changed it last, with whose rights it
    fires, but with no more than those of `role`, which a token may have limited.
    """

    id: str
    name: str
    cron: str | None = None
    timezone: str = "UTC"
    every_s: int | None = None
    jitter_s: int = 0
    overlap: Overlap = "skip"
    catch_up: CatchUp = "none"
    paused: bool = False
    start: int | None = None
    end: int | None = None
    job: Raw
    user: str
    user_id: str
    role: Role
    created: int

    def slot_after(self, instant: int) -> int | None:
        """The next slot; None when there is none. BadCron, BadZone: what is kept is not understood here."""
        return next(self.slots(instant), None)

    def slots(self, instant: int) -> Iterator[int]:
        """All slots after an instant."""
        every = self._every if self.cron is None else Cron(self.cron, self.timezone).after
        at = every(max(instant, (self.start or 0) - 1))
        while at is not None and at < LAST_MS and (self.end is None or at <= self.end):
            yield at
            at = every(at)

    def _every(self, instant: int) -> int:
        period = (self.every_s or 1) * 1000
        first = self.created if self.start is None else self.start
        return first + max((instant - first) // period + 1, 0) * period

    def due_at(self, slot: int) -> int:
        """When a slot fires: later than it says by its jitter, which is the same for every master."""
        if not self.jitter_s:
            return slot
        digest = hashlib.sha256(f"{self.id}-{slot}".encode()).digest()
        return slot + int.from_bytes(digest[:8], "big") % (self.jitter_s * 1000 + 1)

    def job_id(self, slot: int) -> str:
        """The id of a slot's job: one for each slot, so that it is submitted once, whoever does it."""
        return f"{self.id}-{slot}"


class Slot(Struct, frozen=True):
    """A slot that waits to be dealt with; `made_up`: it was missed."""

    at: int
    made_up: bool = False

    def __str__(self) -> str:
        """The form in Redis."""
        return f"{self.at}{'m' if self.made_up else ''}"

    @classmethod
    def parse(cls, text: str) -> "Slot":
        """Read it; ValueError."""
        return cls(int(text.removesuffix("m")), text.endswith("m"))


class Plan(Struct, frozen=True):
    """What is to be done now: slots that `fire`, those that were `missed`, the `last` of both, and what is `next`.

    `more`: there are more missed ones, which are told of together.
    """

    fire: Sequence[Slot] = ()
    missed: Sequence[int] = ()
    last: int = 0
    next: int | None = None
    more: bool = False


class Firing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a slot. `told`: when that was decided. `at` None: it was asked for.

    `count`: how many slots it stands for, of which `at` is the first and `until` the last.
    """

    outcome: Outcome
    at: int | None = None
    told: int
    job: str | None = None
    code: str | None = None
    reason: str | None = None
    user: str | None = None
    count: int = 1
    until: int | None = None
    made_up: bool = False


def due(schedule: Schedule, next_: int, now: int) -> Plan:
    """What is to be done with the slots from `next_` on, which is one, that are due by now; BadCron, BadZone.

    Of many missed ones it deals with some at a time: `next` is then due already.
    """
    late = now - GRACE_MS - schedule.jitter_s * 1000
    slots = schedule.slots(next_ - 1)
    waiting = list(islice(_until(schedule, slots, now), A_LOOK + MADE_UP + 1))
    if len(waiting) > A_LOOK + MADE_UP and waiting[A_LOOK + MADE_UP - 1] < late:
        return Plan((), waiting[:A_LOOK], waiting[A_LOOK - 1], waiting[A_LOOK], more=True)
    done = waiting[: A_LOOK + MADE_UP]
    if not done:
        return Plan(next=next_)
    on_time = [Slot(at) for at in done if at >= late]
    missed = [at for at in done if at < late]
    kept = {"none": 0, "one": 1, "all": MADE_UP}[schedule.catch_up]
    made_up = missed[len(missed) - min(kept, len(missed)) :]
    fire = [*(Slot(at, made_up=True) for at in made_up), *on_time]
    return Plan(fire, missed[: len(missed) - len(made_up)], done[-1], schedule.slot_after(done[-1]))


def _until(schedule: Schedule, slots: Iterator[int], now: int) -> Iterator[int]:
    """Those that are due, in their order: none before the one before it."""
    for at in slots:
        if schedule.due_at(at) > now:
            return
        yield at


def surplus(waiting: Sequence[Slot]) -> list[Slot]:
    """Of slots that wait for a job's end, those that are skipped: one may wait, and those that are made up for."""
    return [one for one in waiting if not one.made_up][1:]


def decided(schedule: Schedule, before: str | None) -> Literal["start", "wait", "skip", "cancel"]:
    """What a slot does; `before`: the job before it that is not final yet."""
    if before is None:
        return "start"
    how: dict[Overlap, Literal["wait", "skip", "cancel"]] = {"queue": "wait", "skip": "skip", "replace": "cancel"}
    return how[schedule.overlap]
