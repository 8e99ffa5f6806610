"""What the HTTP side and the queue in Redis have in common."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from deployer.assembly.listeners import NO_TLS, Tls
from deployer.config import Network
from deployer.dispatch.audit import AuditTrail
from deployer.dispatch.commandqueue import CommandMover, QueuedCommand
from deployer.dispatch.jobs import Dispatcher
from deployer.dispatch.scheduler import Scheduler
from deployer.dispatch.watch import Watch
from deployer.kit.clock import WallClock
from deployer.kit.wake import Hub
from deployer.model import limits
from deployer.model.access import Caller, Role
from deployer.model.audit import Deed
from deployer.rest.fleet import Fleet
from deployer.rest.jobrequests import JobRequest, JobRequests
from deployer.rest.meter import Meter
from deployer.rest.schedulerequests import stored_job
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
from deployer.stores.redis import Redis
from deployer.stores.schedules import Schedules
from deployer.stores.users import Users


class Ground(Struct, frozen=True, kw_only=True):
    """What the HTTP side stands on. `memory()`: the share of Redis' memory in use."""

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


class Core(Struct, frozen=True):
    """What makes jobs of requests, whichever way these come."""

    agents: Agents
    library: Library
    dispatcher: Dispatcher
    requests: JobRequests
    audits: Audits
    trail: AuditTrail
    watch: Watch
    scheduler: Scheduler


def build_core(ground: Ground) -> Core:
    """Made once for the HTTP side and the queue in Redis."""
    agents, library = Agents(ground.redis, ground.log_share), Library(ground.redis)
    dispatcher = Dispatcher(Jobs(ground.redis), ground.hub, ground.key.private, ground.wall, ground.memory)
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
    return Core(agents, library, dispatcher, requests, audits, trail, watch, scheduler)


def build_mover(core: Core, queue: CommandQueue, installations: Installations, clock: Any) -> CommandMover:
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

    return CommandMover(queue, installations.companies, submit, clock)


def _pushed(command: QueuedCommand) -> Deed:
    what = f"{command.id}/{command.gid}:{command.nid}"
    return Deed(user="cmds_queue", address="redis", action="RPUSH cmds_queue", object=what, decision="allowed")
