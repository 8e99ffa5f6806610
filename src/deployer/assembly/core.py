"""What the HTTP side and the queue in Redis have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from deployer.assembly.listeners import NO_TLS, Tls
from deployer.config import Network
from deployer.dispatch.audit import AuditTrail
from deployer.dispatch.commandqueue import CommandMover, QueuedCommand
from deployer.dispatch.jobs import Dispatcher
from deployer.dispatch.openjobs import OpenJobs
from deployer.dispatch.placing import Placing
from deployer.dispatch.planner import Planner
from deployer.dispatch.scheduler import Scheduler
from deployer.dispatch.signer import Signer
from deployer.dispatch.watch import Watch
from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import WallClock
from deployer.kit.rounds import Rounds
from deployer.kit.wake import Hub
from deployer.model import limits
from deployer.model.access import Caller, Role
from deployer.model.audit import Deed
from deployer.model.foreign import Store
from deployer.model.levelcounts import LevelCounts
from deployer.model.series import Datum, Source
from deployer.rest.fleet import Fleet
from deployer.rest.jobrequests import JobRequest, JobRequests
from deployer.rest.meter import Meter
from deployer.rest.schedulerequests import stored_job
from deployer.stores import keys
from deployer.stores.activity import Activities
from deployer.stores.agents import Agents
from deployer.stores.audit import Audits
from deployer.stores.commandqueue import CommandQueue
from deployer.stores.hosts import Hosts
from deployer.stores.installation import Installation, Installations
from deployer.stores.jobs import Jobs
from deployer.stores.library import Library
from deployer.stores.master_key import MasterKey
from deployer.stores.monitors import Monitors
from deployer.stores.plans import Plans
from deployer.stores.redis import Redis
from deployer.stores.schedules import Schedules
from deployer.stores.users import Users
from deployer.telemetry.readings import NoSource

PLANS_S = 1.0
"""How often is looked for plans that are due by their time: what changes wakes at once."""


NO_SOURCE = NoSource()


async def discard(company: str, data: Sequence[Datum]) -> None:
    """What nobody keeps."""


class Ground(Struct, frozen=True, kw_only=True):
    """What the HTTP side stands on. `memory()`: the share of Redis' memory in use; `source`: where series are read."""

    redis: Redis
    key: MasterKey
    installation: Installation
    hub: Hub
    clock: Any
    wall: WallClock
    memory: Callable[[], float]
    log_share: int = limits.LOG_SHARE_BYTES
    proxies: tuple[Network, ...] = ()
    meter: Meter
    tls: Tls = NO_TLS
    waiting_room: bool = False
    webhook_networks: tuple[Network, ...] = ()
    source: Source = NO_SOURCE
    metric_trouble: Callable[[], str | None] = lambda: None
    metrics_wait: Callable[[], str | None] = lambda: None
    store: Store = discard
    posted: Store = discard
    levels: LevelCounts = msgspec.field(default_factory=LevelCounts)


class Core(Struct, frozen=True):
    """What makes jobs of requests, whichever way these come."""

    agents: Agents
    library: Library
    dispatcher: Dispatcher
    requests: JobRequests
    audits: Audits
    trail: AuditTrail
    watch: Watch
    planner: Planner
    open_jobs: OpenJobs
    scheduler: Scheduler


def build_core(ground: Ground) -> Core:
    """Made once for the HTTP side and the queue in Redis."""
    agents, library = Agents(ground.redis, ground.log_share), Library(ground.redis)
    plans, signer = Plans(ground.redis), Signer(ground.key.private)
    jobs = Jobs(ground.redis)
    dispatcher = Dispatcher((jobs, plans), ground.hub, signer, ground.wall, ground.memory)
    open_jobs = OpenJobs(jobs, plans, signer, ground.wall)
    planner = Planner(plans, Placing(agents, plans), signer, ground.clock, ground.wall)
    audits = Audits(ground.redis)
    fleet = Fleet(agents, Hosts(ground.redis))
    requests = JobRequests(dispatcher, agents, library, fleet, Activities(ground.redis))
    watch = Watch(Monitors(ground.redis), ground.installation.company, ground.wall)
    trail = AuditTrail(audits, ground.installation.company, ground.wall)
    scheduler = Scheduler(
        Schedules(ground.redis),
        Users(ground.redis),
        dispatcher,
        check=lambda caller, job: requests.check(caller, stored_job(job)),
        trail=trail,
        clock=ground.clock,
    )
    return Core(agents, library, dispatcher, requests, audits, trail, watch, planner, open_jobs, scheduler)


AWAY = (UnavailableError, NoSpaceError)
"""While Redis is away or full there is nothing to be done."""


def build_planning(core: Core, hub: Hub) -> Rounds:
    """Makes tasks of jobs that have a plan."""

    async def once() -> bool:
        with hub.waiter((keys.WAKE, keys.PLANS_DUE)) as waiter:
            if not await core.planner.round():
                await waiter.wait(PLANS_S)
        return True

    return Rounds("making tasks of plans", once, hub.clock, AWAY)


def build_mover(core: Core, queue: CommandQueue, installations: Installations) -> CommandMover:
    """Makes jobs of what is pushed into Redis: whoever may write there may run commands (DESIGN 6)."""

    async def submit(company: str, command: QueuedCommand) -> None:
        caller = Caller("cmds_queue", company, Role.OWNER, "")
        request = JobRequest(
            id=command.id,
            cmd=command.cmd,
            args=command.args,
            data=command.data,
            target=f"{command.gid}:{command.nid}",
        )
        new = await core.requests.check(caller, request)
        await core.trail.note(company, _pushed(command))
        await core.dispatcher.submit(caller, msgspec.structs.replace(new, reply=queue.reply(company) + command.id))

    return CommandMover(queue, installations.companies, submit)


def _pushed(command: QueuedCommand) -> Deed:
    what = f"{command.id}/{command.gid}:{command.nid}"
    return Deed(user="cmds_queue", address="redis", action="RPUSH cmds_queue", object=what, decision="allowed")
