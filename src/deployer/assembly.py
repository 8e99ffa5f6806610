"""Builds every part of the master, top to bottom, and starts and stops them in order."""

import os
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.logger import Logger

from deployer.config import MasterSettings, Network, proxies
from deployer.dispatch.commandqueue import CommandMover, QueuedCommand
from deployer.dispatch.commands import Commands
from deployer.dispatch.jobs import Dispatcher
from deployer.dispatch.upkeep import Upkeep
from deployer.errors import StartError
from deployer.kit.clock import Clock, WallClock, sleep
from deployer.kit.files import private_dir
from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.peer import Peers
from deployer.kit.http.site import HardenedSite
from deployer.kit.lag import Lag
from deployer.kit.lock_posix import open_lock, try_lock
from deployer.kit.passwords import Passwords
from deployer.kit.threads import Threads
from deployer.kit.wake import Hub
from deployer.links.enrolment import Enrolment
from deployer.links.longpoll import Handlers, LongPoll
from deployer.links.sessions import Challenges, Sessions
from deployer.model import limits
from deployer.model.access import Caller, Role
from deployer.protocol.wire import MAX_POST_BYTES
from deployer.rest import openapi
from deployer.rest.about import AboutRoutes
from deployer.rest.agentlog import AgentLogs
from deployer.rest.agents import AgentRoutes
from deployer.rest.authentication import Authenticator
from deployer.rest.companies import CompanyRoutes
from deployer.rest.endpoint import MAX_BODY_BYTES, Api
from deployer.rest.health import HealthRoutes
from deployer.rest.hosts import HostRoutes
from deployer.rest.joblog import JobLogRoutes
from deployer.rest.jobrequests import JobRequest, JobRequests
from deployer.rest.jobs import JobRoutes, Values
from deployer.rest.meter import Meter
from deployer.rest.problems import refuse
from deployer.rest.processes import ProcessRoutes
from deployer.rest.scripts import ScriptRoutes
from deployer.rest.session import Door, SessionRoutes
from deployer.rest.site import Root
from deployer.rest.stats import StatsRoutes
from deployer.rest.tokens import TokenRoutes
from deployer.rest.users import UserRoutes
from deployer.stores import address, keys
from deployer.stores.agents import Agents
from deployer.stores.commandqueue import CommandQueue
from deployer.stores.companies import Companies
from deployer.stores.connection import NO_LOGIN, Login
from deployer.stores.embedded import EmbeddedRedis
from deployer.stores.first_start import ensure_installation, new_admin_token
from deployer.stores.hosts import Hosts
from deployer.stores.installation import Installation, Installations
from deployer.stores.jobs import Jobs
from deployer.stores.library import Library
from deployer.stores.logins import Logins
from deployer.stores.logs import Logs
from deployer.stores.master_key import MasterKey
from deployer.stores.points import Points
from deployer.stores.probe import Probe
from deployer.stores.redis import Redis
from deployer.stores.server import patiently, require_durable
from deployer.stores.subscriber import Subscriber
from deployer.stores.tokens import Tokens
from deployer.stores.users import Users
from deployer.telemetry.facts import FactIntake
from deployer.telemetry.intake import Intake
from deployer.telemetry.joblog import JobLogs
from deployer.telemetry.points import PointIntake

KEY_FILE: Final = "master.key"
LOCK: Final = "master.lock"
BACKLOG: Final = 1024
ATTACH_S: Final = 15.0
USUAL_DRAIN_S: Final = 5.0
ANSWER_S: Final = 10.0
LOOK_S: Final = 0.02
T = TypeVar("T")


class Storage:
    """The master's Redis, its own or a configured one, and the connections to it; `ear` is for what blocks."""

    def __init__(self, settings: MasterSettings, reactor: Any, hub: Hub) -> None:
        self._settings = settings
        self._clock: Clock = reactor
        self._embedded: EmbeddedRedis | None = None
        endpoint, login = self._locate(reactor)
        self.redis = Redis(clientFromString(reactor, endpoint), reactor, login)
        self.ear = Redis(clientFromString(reactor, endpoint), reactor, login)
        self.subscriber = Subscriber(
            clientFromString(reactor, endpoint),
            reactor,
            channels=(keys.WAKE, keys.DONE, keys.LOGGED),
            heard=hub.heard,
            subscribed=hub.wake_all,
            login=login,
        )

    async def start(self) -> None:
        """Start our own server where we have one; connect; refuse one that would lose work."""
        if self._embedded is not None:
            await self._embedded.start()
        await self.redis.start(self._settings.redis_wait_s)
        await self.patiently(lambda: require_durable(self.redis, accept_data_loss=self._settings.accept_data_loss))
        await self.ear.start(self._settings.redis_wait_s)
        self.subscriber.start()

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Redis again while it goes away during our start."""
        return await patiently(ask, self._clock, self._settings.redis_wait_s)

    async def attach_or_start(self, data_dir: Path) -> None:
        """Connect to the server that a running master has, or start it when no master runs here."""
        if self._embedded is not None and try_lock(open_lock(data_dir / LOCK)):
            await self._embedded.start()
        else:
            self._embedded = None
        await self.redis.start(ATTACH_S)

    async def stop(self) -> None:
        """Disconnect, then end our own server."""
        await self.subscriber.stop()
        await self.ear.stop()
        await self.redis.stop()
        if self._embedded is not None:
            await self._embedded.stop()

    def _locate(self, reactor: Any) -> tuple[str, Login]:
        if self._settings.redis is not None:
            found = address.parse(self._settings.redis)
            return found.endpoint, found.login
        directory = Path(self._settings.data_dir).resolve() / "redis"
        self._embedded = EmbeddedRedis(directory, self._settings.redis_max_memory, reactor, reactor)
        return f"unix:{str(self._embedded.socket).replace(':', chr(92) + ':')}", NO_LOGIN


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


class Core(Struct, frozen=True):
    """What makes jobs of requests, whichever way these come."""

    agents: Agents
    library: Library
    dispatcher: Dispatcher
    requests: JobRequests


def build_core(ground: Ground) -> Core:
    """Made once for the HTTP side and the queue in Redis."""
    agents, library = Agents(ground.redis, ground.log_share), Library(ground.redis)
    dispatcher = Dispatcher(Jobs(ground.redis), ground.hub, ground.key.private, ground.wall, ground.memory)
    return Core(agents, library, dispatcher, JobRequests(dispatcher, agents, library))


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
        await core.dispatcher.submit(caller, msgspec.structs.replace(new, reply=queue.reply(company) + command.id))

    return CommandMover(queue, installations.companies, submit, clock)


class Master(Service):
    """The whole master. `failed` is called with one sentence when it cannot start."""

    log = Logger()

    def __init__(self, settings: MasterSettings, reactor: Any, wall: WallClock, failed: Callable[[str], None]) -> None:
        self._settings = settings
        self._reactor = reactor
        self._wall = wall
        self._failed = failed
        self._hub = Hub(reactor)
        self._storage: Storage | None = None
        self._upkeep: Upkeep | None = None
        self._mover: CommandMover | None = None
        self._site: HardenedSite | None = None
        self._meter = Meter(reactor)
        self._lag = Lag(reactor)
        self._ports: list[Any] = []
        self._lock: int | None = None
        self._starting: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin to start; listeners open last."""
        Service.startService(self)
        self._starting = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """End in the reverse order."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            await self._start_parts()
        except StartError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 (whatever it is, the operator gets one line and the log the rest)
            self.log.failure("the master cannot start")
            self._failed(f"the master cannot start: {error}")

    async def _start_parts(self) -> None:
        data_dir = _data_dir(self._settings)
        self._lock = _hold(data_dir)
        key = _master_key(self._settings, data_dir)
        self._storage = storage = Storage(self._settings, self._reactor, self._hub)
        await storage.start()
        installation = await storage.patiently(lambda: ensure_installation(storage.redis, key, data_dir, self._wall))
        self._upkeep = Upkeep(self._storage.redis, self._reactor, self._wall)
        MultiService.startService(self._upkeep)
        ground = Ground(
            redis=self._storage.redis,
            key=key,
            installation=installation,
            hub=self._hub,
            clock=self._reactor,
            log_share=self._settings.log_share_bytes,
            proxies=proxies(self._settings),
            meter=self._meter,
            wall=self._wall,
            memory=self._upkeep.memory,
        )
        core = build_core(ground)
        self._start_mover(ground, core)
        self._site = site = build_site(ground, core)
        self._measure(site, ground)
        for description in self._settings.http:
            port = await serverFromString(self._reactor, with_backlog(description)).listen(site)
            self._ports.append(port)
            self.log.info("ready: the API listens at {where}", where=str(port.getHost()))

    def _measure(self, site: HardenedSite, ground: Ground) -> None:
        """Show what this master knows of itself."""
        self._lag.startService()
        meter = self._meter
        meter.watch(
            "reactor_lag_seconds", "By how much the reactor was late, the worst of late", lambda: self._lag.worst
        )
        meter.watch("http_connections", "Open connections", lambda: len(site.connections))
        meter.watch("waiting_requests", "Requests that wait for something to happen", lambda: len(self._hub))
        meter.watch("redis_connected", "Whether Redis answers", lambda: float(ground.redis.connected))
        meter.watch("redis_memory_ratio", "The share of Redis' memory in use", ground.memory)
        meter.watch_counts("http_refused", "Requests refused before a route", "code", lambda: site.refusals.counts)
        if (mover := self._mover) is not None:
            meter.watch_counts(
                "command_queue",
                "Entries of cmds_queue",
                "what",
                lambda: {"moved": mover.moved, "refused": mover.refused, "set_aside": mover.set_aside},
            )

    async def _drain(self) -> None:
        """Be not ready for a while, let nobody wait, answer what has been asked."""
        usual = USUAL_DRAIN_S if self._settings.redis is not None else 0.0
        self._hub.close()
        if self._site is not None:
            self._site.drain()
            await sleep(self._reactor, usual if self._settings.drain_s is None else self._settings.drain_s)
        for port in self._ports:
            await port.stopListening()
        end = self._reactor.seconds() + ANSWER_S
        while self._site is not None and len(self._site.connections) and self._reactor.seconds() < end:
            await sleep(self._reactor, LOOK_S)

    def _start_mover(self, ground: Ground, core: Core) -> None:
        """On with our own Redis, to which nobody else gets, else only where it is asked for."""
        wanted = self._settings.redis_commands
        if wanted is None:
            wanted = self._settings.redis is None
        elif wanted and self._settings.redis is not None:
            self.log.warn("\x1b[31mwho may write to the configured Redis may run commands: redis_commands is on\x1b[0m")
        if wanted and self._storage is not None:
            queue = CommandQueue(ground.redis, self._storage.ear, ground.installation.company)
            self._mover = build_mover(core, queue, Installations(ground.redis), ground.clock)
            self._mover.startService()

    async def _stop(self) -> None:
        if self._mover is not None:
            await self._mover.stopService()
        await self._drain()
        if self._lag.running:
            self._lag.stopService()
        if self._upkeep is not None:
            await MultiService.stopService(self._upkeep)
        if self._storage is not None:
            await self._storage.stop()
        if self._lock is not None:
            os.close(self._lock)


NOUNS: Final = (
    AboutRoutes,
    AgentRoutes,
    CompanyRoutes,
    HostRoutes,
    JobRoutes,
    JobLogRoutes,
    ProcessRoutes,
    ScriptRoutes,
    SessionRoutes,
    StatsRoutes,
    TokenRoutes,
    UserRoutes,
)
"""Whose declarations make the API's description."""


def describe_api() -> dict[str, Any]:
    """Make the OpenAPI document; no master has to run."""
    return openapi.document(openapi.operations(NOUNS), own_version())


def build_site(ground: Ground, core: Core) -> HardenedSite:
    """Everything that answers HTTP, behind its limits."""
    limits_of_http = HttpLimits(max_body=_max_body, proxies=ground.proxies)
    return HardenedSite(_root(ground, core, Peers(limits_of_http)), limits_of_http, ground.clock)


def _max_body(path: bytes) -> int:
    """Agents post batches; everybody else posts requests."""
    return MAX_POST_BYTES if path[1:2].isdigit() else MAX_BODY_BYTES


def _root(ground: Ground, core: Core, peers: Peers) -> Root:
    redis, hub, clock, wall = ground.redis, ground.hub, ground.clock, ground.wall
    agents, library, dispatcher = core.agents, core.library, core.dispatcher
    jobs, logs, tokens = Jobs(redis), Logs(redis), Tokens(redis)

    commands = Commands(agents, hub)
    intake = Intake(agents, ground.installation.company)
    points = Points(redis)
    point_intake = PointIntake(points, wall)
    hosts = Hosts(redis)
    companies, users = Companies(redis), Users(redis)

    sessions = Sessions(redis, agents, Challenges(ground.key.secret("challenge"), wall), clock)
    enrolment = Enrolment(tokens, agents, sessions, wall, [ground.key.public])
    longpoll = LongPoll(
        sessions,
        Handlers(
            poll=commands.poll,
            accept=commands.accept,
            log=intake.store,
            finish=commands.finish,
            record_runs=commands.record_runs,
            script=library.text,
            stats=point_intake.store,
            facts=FactIntake(hosts, wall).store,
        ),
        refuse,
        ground.meter.begin,
    )

    logins, csrf_key = Logins(redis), ground.key.secret("csrf")
    authenticator = Authenticator(tokens, logins, peers, csrf_key=csrf_key, clock=clock, wall=wall)
    passwords = Passwords(Threads(clock))
    door = Door(companies, users, passwords, clock)

    api = Api(
        [
            AboutRoutes(describe_api, ground.meter.text),
            HealthRoutes(Probe(redis, clock).trouble, ground.memory, lambda: hub.closed),
            AgentRoutes(agents),
            CompanyRoutes(companies, wall),
            HostRoutes(agents, hosts),
            JobRoutes(dispatcher, core.requests, Values(Threads(clock))),
            ScriptRoutes(library, wall),
            TokenRoutes(tokens, users, agents, wall),
            UserRoutes(users, wall),
            SessionRoutes(door, users, logins, csrf_key=csrf_key, forget=authenticator.forget, wall=wall),
            StatsRoutes(agents, points),
            ProcessRoutes(agents, points),
            JobLogRoutes(jobs, JobLogs(jobs, logs, hub), AgentLogs(dispatcher)),
        ],
        authenticator.caller,
        peers.of,
        ground.meter.begin,
    )
    ground.meter.watch("passwords_waiting", "Passwords that are compared or hashed", lambda: passwords.waiting)
    ground.meter.watch_counts(
        "wrong_attempts",
        "Wrong tokens, sessions and log-ins",
        "what",
        lambda: {"tokens": authenticator.attempts.failures, "logins": door.attempts.failures},
    )
    ground.meter.watch_counts(
        "agent_intake",
        "What agents have sent, and what of it was dropped",
        "what",
        lambda: {
            "messages_over_share": intake.over_share,
            "messages_of_others": intake.foreign,
            "points_accepted": point_intake.accepted,
            "points_of_impossible_times": point_intake.dropped,
            "points_over": point_intake.over,
            "points_displaced": point_intake.displaced,
        },
    )
    return Root(api.klein, enrolment.routes(refuse), longpoll.resource)


class TokenMaker(Service):
    """`--new-admin-token`: makes one for whoever has the masters' key, and ends."""

    def __init__(self, settings: MasterSettings, reactor: Any, wall: WallClock, failed: Callable[[str], None]) -> None:
        del wall  # the form of Master
        self._settings = settings
        self._reactor = reactor
        self._failed = failed

    def startService(self) -> None:
        """Do it."""
        Service.startService(self)
        Deferred.fromCoroutine(self._make()).addErrback(lambda failure: self._failed(failure.getErrorMessage()))

    async def _make(self) -> None:
        data_dir = _data_dir(self._settings)
        key = _master_key(self._settings, data_dir)
        storage = Storage(self._settings, self._reactor, Hub(self._reactor))
        await storage.attach_or_start(data_dir)
        path = await new_admin_token(storage.redis, key, data_dir)
        await storage.stop()
        sys.stdout.write(f"{path}\n")
        self._reactor.stop()


def own_version() -> str:
    """Of the installed distribution."""
    try:
        return version("deployer")
    except PackageNotFoundError:
        return "0"


def _data_dir(settings: MasterSettings) -> Path:
    return private_dir(Path(settings.data_dir).resolve())


def with_backlog(description: str) -> str:
    """An endpoint with room for a burst of connections: Twisted's 50 makes the others wait for a second."""
    if description.startswith(("tcp:", "ssl:", "unix:")) and ":backlog=" not in description:
        return f"{description}:backlog={BACKLOG}"
    return description


def _hold(data_dir: Path) -> int:
    lock = open_lock(data_dir / LOCK)
    if not try_lock(lock):
        os.close(lock)
        raise StartError(f"another master runs in {data_dir}: stop it, or give this one a --data-dir of its own")
    return lock


def _master_key(settings: MasterSettings, data_dir: Path) -> MasterKey:
    if settings.key_file is not None:
        return MasterKey.load(Path(settings.key_file))
    return MasterKey.load_or_make(data_dir / KEY_FILE)
