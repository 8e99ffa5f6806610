"""Monitors (seed 000): processes of an agent whose consumption is seen in one call and watched against thresholds."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.logger import Logger

from deployer.errors import ChangedError, InvalidError, NotFoundError, UnavailableError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model.access import Caller, Permission
from deployer.model.monitors import Selector, Selectors, Threshold, Thresholds, Watched, chosen, total
from deployer.model.processes import ProcessName, job_of
from deployer.protocol.ids import AgentId, new_id
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.answers import Answer
from deployer.rest.conditional import Match, etag
from deployer.rest.endpoint import endpoint
from deployer.rest.paging import PageQuery
from deployer.rest.processanswers import ProcessAnswer, live_process, process_href
from deployer.rest.references import AgentReference, UserReference, user_reference
from deployer.stores.jobs import Jobs
from deployer.stores.monitors import Monitor, Monitors, Standing
from deployer.stores.processes import Processes

TRIES: Final = 10
MonitorName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*\Z")]
AgentName = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,9}:[1-9][0-9]{0,9}\Z", description="gid:nid")]


class MonitorRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new monitor; its thresholds are told of by messages of level 9, of domain `monitor` and its own name."""

    name: MonitorName
    agent: AgentName
    processes: Selectors
    thresholds: Thresholds = []


class MonitorChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a monitor; what is left out stays. Its thresholds then begin anew."""

    name: MonitorName | UnsetType = UNSET
    processes: Selectors | UnsetType = UNSET
    thresholds: Thresholds | UnsetType = UNSET


class MonitorsQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which monitors: of this agent, or all."""

    agent: AgentName | None = None


class SelectorAnswer(Struct, frozen=True, kw_only=True):
    """One process by its id, or those that run of a job, a domain, a name; null is any."""

    id: str | None
    href: str | None
    job: str | None
    domain: str | None
    name: str | None


class ThresholdAnswer(Struct, frozen=True, kw_only=True):
    """A threshold and how it stands: `ok`, `pending` (broken for less than `for_s`), `breached` (that was told)."""

    metric: str
    above: float | None
    below: float | None
    for_s: int
    state: Literal["ok", "pending", "breached"]
    since: str | None
    told: str | None


class ConsumptionReference(Struct, frozen=True):
    """Where the consumption of a monitor's processes is."""

    href: str


class MonitorAnswer(Struct, frozen=True, kw_only=True):
    """A monitor as clients see it."""

    id: str
    href: str
    name: str
    agent: AgentReference
    processes: list[SelectorAnswer]
    thresholds: list[ThresholdAnswer]
    consumption: ConsumptionReference
    user: UserReference
    created: str


class MonitorPage(Struct, frozen=True):
    """Some monitors by their making, and where the next ones begin."""

    items: list[MonitorAnswer]
    next: str | None


class ConsumptionAnswer(Struct, frozen=True, kw_only=True):
    """What a monitor's processes consume: each, and `total` together, as their agent said at `heard` (null: never).

    A process that has not been sampled yet counts as one of `processes` and as nothing else.
    """

    href: str
    agent: AgentReference
    heard: str | None
    total: dict[str, float]
    processes: list[ProcessAnswer]
    thresholds: list[ThresholdAnswer]


class RemovedMonitor(Struct, frozen=True):
    """It is watched no longer."""

    id: str


class MonitorRoutes:
    """`/api/v1/monitors`."""

    log = Logger()

    def __init__(self, monitors: Monitors, processes: Processes, jobs: Jobs, wall: WallClock) -> None:
        self._monitors = monitors
        self._processes = processes
        self._jobs = jobs
        self._wall = wall

    @endpoint("GET", "/api/v1/monitors", needs=Permission.READ, returns=MonitorPage, query=MonitorsQuery)
    async def list_all(self, caller: Caller, query: MonitorsQuery) -> MonitorPage:
        """The company's monitors on agents that the caller may use."""
        only = caller.agents
        if query.agent is not None:
            agent = _agent(query.agent)
            only = frozenset({agent} if caller.sees(agent) else ())
        found = await self._monitors.listed(caller.company, query.cursor, query.limit + 1, only)
        page = found[: query.limit]
        return MonitorPage([_answer(one) for one in page], page[-1].watched.id if len(found) > query.limit else None)

    @endpoint(
        "POST",
        "/api/v1/monitors",
        needs=Permission.EXECUTE,
        returns=MonitorAnswer,
        body=MonitorRequest,
        statuses=(201,),
    )
    async def make(self, caller: Caller, body: MonitorRequest) -> Answer:
        """Watch processes of an agent from now on."""
        agent = _agent(body.agent)
        if not caller.sees(agent):
            raise InvalidError("/agent", "the company has no such agent", "no_matching_agent")
        _require_of(agent, body.processes)
        watched = Watched(
            id=new_id(self._wall()),
            name=body.name,
            agent=body.agent,
            processes=body.processes,
            thresholds=body.thresholds,
            user=caller.user,
            created=epoch_ms(self._wall),
        )
        await self._monitors.put(caller.company, watched)
        self.log.warn("audit: user {user} makes monitor {monitor}", user=caller.user, monitor=watched.id)
        return _shown(await self._monitors.monitor(caller.company, watched.id), 201)

    @endpoint("GET", "/api/v1/monitors/<monitor>", needs=Permission.READ, returns=MonitorAnswer)
    async def show(self, caller: Caller, monitor: str) -> Answer:
        """One monitor."""
        return _shown(await self._known(caller, monitor))

    @endpoint("GET", "/api/v1/monitors/<monitor>/consumption", needs=Permission.READ, returns=ConsumptionAnswer)
    async def consumption(self, caller: Caller, monitor: str) -> ConsumptionAnswer:
        """What a monitor's processes consume, in one call."""
        known = await self._known(caller, monitor)
        (running,) = await self._processes.of([known.agent])
        its = chosen(known.watched, running.processes)
        users = await self._jobs.users(caller.company, [job_of(one.task) for one in its])
        return ConsumptionAnswer(
            href=f"{_href(known.watched.id)}/consumption",
            agent=AgentReference.to(known.agent),
            heard=iso(running.heard) if running.heard else None,
            total=dict(total(its)),
            processes=[
                live_process(known.agent, one, user, running.heard) for one, user in zip(its, users, strict=True)
            ],
            thresholds=_thresholds(known),
        )

    @endpoint(
        "PATCH",
        "/api/v1/monitors/<monitor>",
        needs=Permission.EXECUTE,
        returns=MonitorAnswer,
        body=MonitorChange,
        conditional=True,
    )
    async def change(self, caller: Caller, monitor: str, body: MonitorChange, match: Match) -> Answer:
        """Change name, processes or thresholds."""
        for _ in range(TRIES):
            known = await self._known(caller, monitor)
            match.require(known.version)
            given = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}
            wanted = msgspec.structs.replace(known.watched, **given)
            _require_of(known.agent, wanted.processes)
            try:
                await self._monitors.put(caller.company, wanted, known.version)
            except ChangedError:
                continue
            self.log.warn("audit: user {user} changes monitor {monitor}", user=caller.user, monitor=monitor)
            return _shown(await self._known(caller, monitor))
        raise UnavailableError("this monitor changes too fast; try again in a moment")

    @endpoint(
        "DELETE",
        "/api/v1/monitors/<monitor>",
        needs=Permission.EXECUTE,
        returns=RemovedMonitor,
        conditional=True,
    )
    async def remove(self, caller: Caller, monitor: str, match: Match) -> RemovedMonitor:
        """Watch it no longer."""
        for _ in range(TRIES):
            known = await self._known(caller, monitor)
            match.require(known.version)
            try:
                await self._monitors.drop(caller.company, known)
            except ChangedError:
                continue
            self.log.warn("audit: user {user} removes monitor {monitor}", user=caller.user, monitor=monitor)
            return RemovedMonitor(known.watched.id)
        raise UnavailableError("this monitor changes too fast; try again in a moment")

    async def _known(self, caller: Caller, monitor: str) -> Monitor:
        if len(monitor) != 32 or not monitor.isascii() or not monitor.isalnum():  # noqa: PLR2004 (ids.new_id)
            raise NotFoundError("this monitor does not exist")
        known = await self._monitors.monitor(caller.company, monitor)
        if not caller.sees(known.agent):
            raise NotFoundError("this monitor does not exist")
        return known


def _agent(text: str) -> AgentId:
    try:
        return AgentId.parse(text)
    except ValueError as error:
        raise InvalidError("/agent", str(error)) from None


def _require_of(agent: AgentId, selectors: Selectors) -> None:
    """InvalidError for a process that is none, or another agent's."""
    for index, one in enumerate(selectors):
        if one.id is None:
            continue
        try:
            its = ProcessName.parse(one.id).agent
        except ValueError as error:
            raise InvalidError(f"/processes/{index}/id", str(error)) from None
        if its != agent:
            raise InvalidError(f"/processes/{index}/id", f"this process is on agent {its}, the monitor on {agent}")


def _href(id_: str) -> str:
    return f"/api/v1/monitors/{id_}"


def _shown(monitor: Monitor, status: int = 200) -> Answer:
    answer = _answer(monitor)
    return Answer(answer, status, (etag(monitor.version), ("location", answer.href)), changing=True)


def _answer(monitor: Monitor) -> MonitorAnswer:
    watched = monitor.watched
    href = _href(watched.id)
    return MonitorAnswer(
        id=watched.id,
        href=href,
        name=watched.name,
        agent=AgentReference.to(monitor.agent),
        processes=[_selector(one) for one in watched.processes],
        thresholds=_thresholds(monitor),
        consumption=ConsumptionReference(f"{href}/consumption"),
        user=user_reference(watched.user),
        created=iso(watched.created),
    )


def _selector(one: Selector) -> SelectorAnswer:
    href = None if one.id is None else process_href(one.id)
    return SelectorAnswer(id=one.id, href=href, job=one.job, domain=one.domain, name=one.name)


def _thresholds(monitor: Monitor) -> list[ThresholdAnswer]:
    pairs = zip(monitor.watched.thresholds, monitor.standings, strict=True)
    return [_threshold(threshold, standing) for threshold, standing in pairs]


def _threshold(one: Threshold, standing: Standing) -> ThresholdAnswer:
    state: Literal["ok", "pending", "breached"] = "pending"
    if standing.since is None:
        state = "ok"
    elif standing.told is not None:
        state = "breached"
    return ThresholdAnswer(
        metric=one.metric,
        above=one.above,
        below=one.below,
        for_s=one.for_s,
        state=state,
        since=iso_or_none(standing.since),
        told=iso_or_none(standing.told),
    )
