"""What clients ask of schedules, checked before it is kept: times that come, and a job that would be taken now."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from deployer.errors import InvalidError, NotFoundError
from deployer.model import limits
from deployer.model.access import Caller
from deployer.model.cron import LAST_MS, BadCron, BadZone, Cron
from deployer.model.schedules import CatchUp, CronText, Jitter, Overlap, Period, Schedule, ScheduleName, Zone
from deployer.protocol.codecs import Misfit, NotJson, convert
from deployer.protocol.ids import AgentId
from deployer.protocol.times import epoch_ms_of
from deployer.rest.jobrequests import JobRequest, JobRequests
from deployer.stores.agents import Agents

Instant = Annotated[datetime, Meta(tz=True)]
TIMING: Final = ("cron", "timezone", "every_s", "jitter_s", "start", "end", "paused")
"""What says when a schedule fires."""


class ScheduleRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new schedule: either `cron` (in `timezone`) or `every_s`; `job` is what POST /api/v1/jobs takes, without an id.

    It acts with the rights of who makes it. `every_s` counts from `start`, or from now. `overlap`: what happens while
    the job before is not final. `catch_up`: which of the times are made up for that no master was there for.
    """

    name: ScheduleName
    cron: CronText | None = None
    timezone: Zone | None = None
    every_s: Period | None = None
    jitter_s: Jitter = 0
    overlap: Overlap = "skip"
    catch_up: CatchUp = "none"
    paused: bool = False
    start: Instant | None = None
    end: Instant | None = None
    job: JobRequest


class ScheduleChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a schedule; what is left out stays. `cron` takes the place of `every_s`, and back.

    Who changes more than `paused` is its user from then on: it acts with that one's rights.
    """

    name: ScheduleName | UnsetType = UNSET
    cron: CronText | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    every_s: Period | UnsetType = UNSET
    jitter_s: Jitter | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    catch_up: CatchUp | UnsetType = UNSET
    paused: bool | UnsetType = UNSET
    start: Instant | UnsetType | None = UNSET
    end: Instant | UnsetType | None = UNSET
    job: JobRequest | UnsetType = UNSET


def fields_of(body: ScheduleRequest | ScheduleChange) -> dict[str, Any]:
    """What was given, as a schedule has it; InvalidError for two ways to say when."""
    given = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}
    if given.get("cron") is not None and given.get("every_s") is not None:
        raise InvalidError("/every_s", "a schedule has either cron or every_s, not both")
    for name in ("start", "end"):
        if given.get(name) is not None:
            given[name] = _ms(f"/{name}", given[name])
    if "job" in given:
        given["job"] = kept_job(given["job"])
    return given


def new_fields(body: ScheduleRequest) -> dict[str, Any]:
    """Those of a new schedule; InvalidError for one that says not when."""
    given = fields_of(body)
    if body.cron is None and body.every_s is None:
        raise InvalidError("/cron", "say when: by cron or every_s")
    if body.timezone is None:
        given["timezone"] = "UTC"
    return given


def changed(known: Schedule, given: Mapping[str, Any]) -> Schedule:
    """A schedule with these fields."""
    more: dict[str, Any] = {}
    if given.get("cron") is not None:
        more = {"every_s": None}
    elif given.get("every_s") is not None:
        more = {"cron": None, "timezone": "UTC"}
    return msgspec.structs.replace(known, **{**more, **given})


def next_slot(wanted: Schedule, after: int) -> int | None:
    """The next slot of a schedule that is to be kept, None while it is paused; InvalidError for what never fires."""
    if wanted.cron is None and wanted.timezone != "UTC":
        raise InvalidError("/timezone", "a period has no time zone: leave it out, or give cron")
    if wanted.start is not None and wanted.end is not None and wanted.end <= wanted.start:
        raise InvalidError("/end", "the end is not behind the start")
    _require_zone(wanted)
    coming = list(islice(wanted.slots(after), 2))
    if not coming:
        if wanted.end is not None:
            raise InvalidError("/end", "it would never fire: none of its times is before the end", "never_fires")
        raise InvalidError("/cron", "it would never fire", "never_fires")
    if len(coming) > 1 and wanted.jitter_s * 1000 >= coming[1] - coming[0]:
        raise InvalidError("/jitter_s", "the jitter is not shorter than the time between two firings")
    return None if wanted.paused else coming[0]


def _require_zone(wanted: Schedule) -> None:
    """A time zone, and an expression, that are some."""
    try:
        if wanted.cron is not None:
            Cron(wanted.cron, wanted.timezone)
    except BadZone as error:
        raise InvalidError("/timezone", str(error)) from None
    except BadCron as error:
        raise InvalidError("/cron", str(error)) from None


class ScheduledJobs:
    """Jobs of schedules, before these are kept."""

    def __init__(self, requests: JobRequests, agents: Agents) -> None:
        self._requests = requests
        self._agents = agents

    async def require(self, caller: Caller, job: Raw) -> None:
        """InvalidError (below `/job`) and ForbiddenError for what POST /api/v1/jobs would refuse of this caller now."""
        try:
            new = await self._requests.check(caller, stored_job(job))
        except InvalidError as error:
            raise InvalidError(f"/job{error.pointer}", str(error), error.code) from None
        except NotFoundError as error:
            raise InvalidError("/job/args", str(error)) from None
        if new.is_one and not await self._is_there(caller.company, new.agents[0]):
            raise InvalidError("/job/target", "no agent matches this target", "no_matching_agent")

    async def _is_there(self, company: str, agent: AgentId) -> bool:
        try:
            return (await self._agents.agent(company, agent)).state != "revoked"
        except NotFoundError:
            return False


def stored_job(job: Raw) -> JobRequest:
    """A job as it was kept; InvalidError for one that is not understood any more."""
    try:
        return convert(JobRequest, job)
    except (Misfit, NotJson) as error:
        raise InvalidError("/job", str(error)) from None


def kept_job(job: JobRequest) -> Raw:
    """A job as it is kept: what its client said of it. InvalidError for what one that is repeated cannot have."""
    if job.id is not None:
        raise InvalidError("/job/id", "leave it out: each firing has an id of its own")
    if job.not_after is not None:
        raise InvalidError("/job/not_after", "leave it out: it would be over for all later firings")
    if job.depends_on:
        raise InvalidError("/job/depends_on", "leave it out: these jobs end once, and it fires again and again")
    fields = msgspec.json.decode(msgspec.json.encode(job), type=dict[str, Raw])
    usual = msgspec.json.decode(msgspec.json.encode(JobRequest(cmd="", target="")), type=dict[str, Raw])
    said = {name: value for name, value in fields.items() if bytes(value) != bytes(usual[name])}
    kept = msgspec.json.encode({"cmd": job.cmd, "target": job.target, **said})
    if len(kept) > limits.SCHEDULE_BYTES:
        raise InvalidError("/job", f"longer than {limits.SCHEDULE_BYTES} bytes: keep what is long as a script")
    return Raw(kept)


def _ms(pointer: str, moment: datetime) -> int:
    ms = epoch_ms_of(moment)
    if not 0 <= ms < LAST_MS:
        raise InvalidError(pointer, "a time between the years 1970 and 2200")
    return ms
