"""Everything that answers HTTP, and the description of it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from deployer.assembly.core import Core, Ground
from deployer.assembly.webhooks import build_routes as build_webhook_routes
from deployer.dispatch.commands import Commands
from deployer.kit.allowance import Allowance
from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.peer import Peers
from deployer.kit.http.site import HardenedSite
from deployer.kit.passwords import Passwords
from deployer.kit.threads import Threads
from deployer.kit.version import own_version
from deployer.links.enrolment import Enrolment, Introduction, Ways
from deployer.links.longpoll import Handlers, LongPoll
from deployer.links.resource import Require, require_certificate
from deployer.links.sessions import Challenges, Sessions
from deployer.model import limits
from deployer.protocol.wire import MAX_POST_BYTES
from deployer.rest import openapi
from deployer.rest.about import AboutRoutes
from deployer.rest.activity import ActivityRoutes
from deployer.rest.agentlog import AgentLogs
from deployer.rest.agentrequests import AgentRequestRoutes
from deployer.rest.agents import AgentRoutes
from deployer.rest.assignments import AssignmentRoutes
from deployer.rest.audit import AuditRoutes
from deployer.rest.auditing import Auditor
from deployer.rest.authentication import Authenticator
from deployer.rest.companies import CompanyRoutes
from deployer.rest.endpoint import MAX_BODY_BYTES, Api
from deployer.rest.errorpage import ErrorRoutes
from deployer.rest.events import EventRoutes
from deployer.rest.fleet import Fleet
from deployer.rest.graphite import Graphite
from deployer.rest.graphiteevents import AnnotationRoutes
from deployer.rest.graphiteseries import SeriesRoutes
from deployer.rest.graphitetags import TagRoutes
from deployer.rest.health import HealthRoutes
from deployer.rest.hosts import HostRoutes
from deployer.rest.idempotency import Idempotency
from deployer.rest.jobanswers import Values
from deployer.rest.joblog import JobLogRoutes
from deployer.rest.jobrelations import JobRelations
from deployer.rest.jobs import JobRoutes
from deployer.rest.loganswers import as_event
from deployer.rest.loghosts import LogHosts
from deployer.rest.logs import LogRoutes
from deployer.rest.masters import MasterRoutes
from deployer.rest.metrics import MetricRoutes
from deployer.rest.monitors import MonitorRoutes
from deployer.rest.problems import refuse
from deployer.rest.processes import ProcessRoutes
from deployer.rest.schedulerequests import ScheduledJobs
from deployer.rest.schedules import ScheduleRoutes
from deployer.rest.scripts import ScriptRoutes
from deployer.rest.session import Door, SessionRoutes
from deployer.rest.site import Root
from deployer.rest.stats import StatsRoutes
from deployer.rest.tokens import TokenRoutes
from deployer.rest.users import UserRoutes
from deployer.rest.webhooks import WebhookRoutes
from deployer.rest.writes import Writes
from deployer.stores.activity import Activities
from deployer.stores.annotations import Annotations
from deployer.stores.claims import Claims
from deployer.stores.companies import Companies
from deployer.stores.events import Events
from deployer.stores.hosts import Hosts
from deployer.stores.installation import Installations
from deployer.stores.jobs import Jobs
from deployer.stores.logins import Logins
from deployer.stores.logs import Logs
from deployer.stores.masters import Masters
from deployer.stores.monitors import Monitors
from deployer.stores.points import Points
from deployer.stores.probe import Probe
from deployer.stores.processes import Processes
from deployer.stores.schedules import Schedules
from deployer.stores.tokens import Tokens
from deployer.stores.users import Users
from deployer.stores.waitingroom import WaitingRoom
from deployer.telemetry.eventfeed import EventFeed
from deployer.telemetry.facts import FactIntake
from deployer.telemetry.intake import Intake
from deployer.telemetry.joblog import JobLogs
from deployer.telemetry.loglines import Line
from deployer.telemetry.logsearch import LogSearch
from deployer.telemetry.logtail import LogTail
from deployer.telemetry.points import PointIntake
from deployer.telemetry.processes import ProcessIntake
from deployer.telemetry.readings import NoSource, Readings

NOUNS: Final = (
    AboutRoutes,
    ActivityRoutes,
    AgentRoutes,
    AgentRequestRoutes,
    AssignmentRoutes,
    AuditRoutes,
    CompanyRoutes,
    EventRoutes,
    HostRoutes,
    JobRoutes,
    JobLogRoutes,
    JobRelations,
    LogRoutes,
    MasterRoutes,
    MetricRoutes,
    MonitorRoutes,
    ProcessRoutes,
    ScheduleRoutes,
    ScriptRoutes,
    SessionRoutes,
    StatsRoutes,
    TokenRoutes,
    UserRoutes,
    WebhookRoutes,
)
"""Whose declarations make the API's description."""


def describe_api() -> dict[str, Any]:
    """Make the OpenAPI document; no master has to run."""
    return openapi.document(openapi.operations(NOUNS), own_version())


def _trouble(ground: Ground) -> Callable[[], Awaitable[str | None]]:
    """What keeps this master from being used."""
    probe = Probe(ground.redis, ground.clock)

    async def look() -> str | None:
        return await probe.trouble() or ground.metric_trouble()

    return look


def build_site(ground: Ground, core: Core) -> HardenedSite:
    """Everything that answers HTTP, behind its limits."""
    limits_of_http = HttpLimits(max_body=_max_body, proxies=ground.proxies)
    return HardenedSite(_root(ground, core, Peers(limits_of_http)), limits_of_http, ground.clock)


def _logs(ground: Ground, logs: Logs, hosts: LogHosts, kept: AgentLogs) -> LogRoutes:
    """All logs: those who follow share one reader."""
    search = LogSearch(logs)

    def encode(company: str, line: Line) -> bytes:
        return as_event(line, hosts.known(company, line.message.agent))

    tail = LogTail(logs, search, ground.hub, encode)
    ground.meter.watch("log_followers", "Who follows logs live", lambda: len(tail))
    ground.meter.watch("log_lines_dropped", "Lines that slow followers did not get", lambda: tail.dropped)
    return LogRoutes(search, tail, hosts, kept, ground.wall)


def _max_body(path: bytes) -> int:
    """Agents post batches; everybody else posts requests."""
    return MAX_POST_BYTES if path[1:2].isdigit() else MAX_BODY_BYTES


def _root(ground: Ground, core: Core, peers: Peers) -> Root:
    redis, hub, clock, wall = ground.redis, ground.hub, ground.clock, ground.wall
    agents, library, dispatcher = core.agents, core.library, core.dispatcher
    jobs, logs, tokens = Jobs(redis), Logs(redis), Tokens(redis)

    activities = Activities(redis)
    commands = Commands(agents, hub, core.trail)
    intake = Intake(agents, activities, ground.installation.company, clock, ground.levels.add_of_agent)
    points = Points(redis)
    point_intake = PointIntake(points, wall, is_kept=not isinstance(ground.source, NoSource))
    hosts, processes = Hosts(redis), Processes(redis)
    process_intake = ProcessIntake(processes, core.watch.look, clock, wall)
    companies, users = Companies(redis), Users(redis)

    sessions = Sessions(redis, agents, Challenges(ground.key.secret("challenge"), wall), clock)
    room = WaitingRoom(redis, ground.installation.company, is_open=ground.waiting_room)
    ways = Ways(tokens, room, peers, Allowance(limits.WAITING_TRIES, 60.0, clock), core.trail)
    enrolment = Enrolment(agents, sessions, ways, wall, Introduction([ground.key.public], ground.tls.ca))
    require: Require = require_certificate if ground.tls.clients else lambda _: None
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
            processes=process_intake.store,
        ),
        refuse,
        ground.meter.begin,
        require,
    )

    logins, csrf_key = Logins(redis), ground.key.secret("csrf")
    authenticator = Authenticator(tokens, logins, peers, csrf_key=csrf_key, clock=clock, wall=wall)
    passwords = Passwords(Threads(clock))
    door = Door(companies, users, passwords, clock)

    readings = Readings(ground.source, Threads(clock))
    auditor = Auditor(core.trail, peers.of)
    api = Api(
        [
            AboutRoutes(describe_api, ground.meter.text),
            ErrorRoutes(),
            HealthRoutes(_trouble(ground), ground.memory, lambda: hub.closed, ground.metrics_wait),
            AgentRoutes(agents, Fleet(agents, hosts), wall),
            ActivityRoutes(agents, activities, jobs),
            AssignmentRoutes(agents, activities, jobs),
            AuditRoutes(core.audits),
            CompanyRoutes(companies, wall),
            EventRoutes(EventFeed(Events(redis), hub), jobs),
            HostRoutes(agents, hosts),
            JobRoutes(dispatcher, core.requests, agents, Values(Threads(clock))),
            ScheduleRoutes(Schedules(redis), users, core.scheduler, ScheduledJobs(core.requests, agents), wall),
            ScriptRoutes(library, wall),
            AgentRequestRoutes(room, wall),
            TokenRoutes(tokens, users, agents, wall, ground.tls.pin),
            UserRoutes(users, wall),
            build_webhook_routes(ground),
            SessionRoutes(door, users, logins, core.trail, csrf_key=csrf_key, forget=authenticator.forget, wall=wall),
            MasterRoutes(Masters(redis), Installations(redis), ground.memory),
            StatsRoutes(agents, points),
            MetricRoutes(readings, agents, wall),
            MonitorRoutes(Monitors(redis), processes, jobs, wall),
            ProcessRoutes(agents, processes, jobs),
            JobRelations(dispatcher, core.open_jobs, core.requests),
            JobLogRoutes(jobs, JobLogs(jobs, logs, hub), AgentLogs(dispatcher)),
            _logs(ground, logs, LogHosts(agents, clock), AgentLogs(dispatcher)),
        ],
        authenticator.caller,
        peer_of=peers.of,
        auditor=auditor,
        idempotency=Idempotency(Claims(redis), ground.key.secret("idempotency"), wall),
        begin=ground.meter.begin,
    )
    graphite = Graphite(
        [SeriesRoutes(readings, wall), TagRoutes(readings), AnnotationRoutes(Annotations(redis), wall)],
        authenticator.caller_of_token,
        auditor=auditor,
        begin=ground.meter.begin,
    )
    ground.meter.watch("audit_waiting", "Entries that are not yet in the audit log", lambda: core.trail.waiting)
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
            "batches_over_quota": intake.refused,
            "lists_over_quota": process_intake.refused,
            "messages_over_share": intake.over_share,
            "messages_of_others": intake.foreign,
            "points_accepted": point_intake.accepted,
            "points_of_impossible_times": point_intake.dropped,
            "points_over": point_intake.over,
            "points_displaced": point_intake.displaced,
        },
    )
    writes = Writes(ground.posted, authenticator, auditor, ground.meter.begin, clock=clock, wall=wall)
    ground.meter.watch_counts("written", "Lines that were posted to /write", "what", lambda: writes.counts)
    routes = {**enrolment.routes(refuse, require), **writes.routes()}
    return Root(api.klein, routes, lambda parts: longpoll.resource(parts) or graphite.find(parts))
