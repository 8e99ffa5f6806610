"""Builds every part of the agent, top to bottom, and starts and stops them in order."""

import secrets
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from OpenSSL import SSL
from twisted.application.service import Service
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.client import Agent as WebAgent
from twisted.web.client import BrowserLikePolicyForHTTPS, HTTPConnectionPool

from deployer.kit.clock import WallClock, epoch_ms, sleep
from deployer.kit.files import private_dir
from deployer.kit.inflight import Inflight
from deployer.kit.periodic import Periodic
from deployer.protocol.results import Result
from deployer.protocol.signing import read_public
from deployer.protocol.wire import MAX_COMMANDS, MAX_RESULTS, Receipt, Verdict
from deployer_agent.commands.registry import Handlers, Request
from deployer_agent.commands.tasks import Tasks, Upward
from deployer_agent.commands.verification import Obedience
from deployer_agent.config import AgentSettings
from deployer_agent.errors import StartError
from deployer_agent.journal import rows
from deployer_agent.journal.journal import Journal
from deployer_agent.link import join
from deployer_agent.link.http import MasterHttp
from deployer_agent.link.identity import Identity, load_key
from deployer_agent.link.longpoll import Inbox, LongPollLink, post_messages
from deployer_agent.link.session import Self, Sessions
from deployer_agent.outbox.batcher import Batcher
from deployer_agent.outbox.messages import MessageOutbox, display_ids
from deployer_agent.processes.manager import SHUTDOWN, Job, Platform, ProcessManager, identity

JOURNAL: Final = "journal.db"
INSTANCE: Final = "instance"
MESSAGE_ID: Final = "message_id"
FLUSH_S: Final = 0.03
ENOUGH_BYTES: Final = 64 * 1024
RESULT_FLIGHTS: Final = 2
FORGET_EVERY_S: Final = 3600.0


class Agent(Service):
    """The whole agent. `failed` is called with one sentence when it cannot start."""

    log = Logger()

    def __init__(self, settings: AgentSettings, reactor: Any, wall: WallClock, failed: Callable[[str], None]) -> None:
        self._settings = settings
        self._reactor = reactor
        self._wall = wall
        self._failed = failed
        self._starting: Deferred[None] | None = None
        self._journal: Journal | None = None
        self._working: Working | None = None
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = RESULT_FLIGHTS + 4
        self._pool.retryAutomatically = False

    def startService(self) -> None:
        """Begin to start."""
        Service.startService(self)
        self._starting = Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        """End what runs, tell the master, leave."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            await self._start_parts()
        except CancelledError:
            return  # it is stopped before it has started
        except StartError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 (whatever it is, the operator gets one line and the log the rest)
            self.log.failure("the agent cannot start")
            self._failed(f"the agent cannot start: {error}")

    async def _start_parts(self) -> None:
        settings = self._settings
        data_dir = _data_dir(settings)
        key = load_key(data_dir)
        journal = Journal(data_dir / JOURNAL, self._reactor)
        journal.open()
        self._journal = journal
        http = MasterHttp(settings.url, self._web_agent(), self._reactor)
        joining = join.Joining(data_dir, settings.join_token_file, settings.gid, settings.nid)
        who = await join.identity(http, key, joining, self._reactor)
        instance = await journal.run(_instance)
        proof = Self(who.agent, key, instance, _version(), join.hostname())
        link = LongPollLink(http, Sessions(http, proof, self._reactor), who.agent, self._reactor)
        first_id = int(await journal.run(lambda connection: rows.get_meta(connection, MESSAGE_ID)) or 0)
        working = Working(settings, self._reactor, self._wall, journal=journal, link=link, who=who, first_id=first_id)
        self._working = working
        await working.start()
        self.log.info("agent {agent} asks {url} for work", agent=str(who.agent), url=settings.url)

    async def _stop(self) -> None:
        if self._starting is not None and self._working is None:
            self._starting.cancel()
        if self._working is not None:
            await self._working.stop(self._settings.stop_s)
        if self._journal is not None:
            await self._journal.close()
        await self._pool.closeCachedConnections()

    def _web_agent(self) -> Any:
        return WebAgent(
            self._reactor, pool=self._pool, connectTimeout=10, contextFactory=_trust(self._settings.ca_file)
        )


class Working:
    """An agent that has joined: its tasks, its processes, what it sends."""

    log = Logger()

    def __init__(
        self,
        settings: AgentSettings,
        reactor: Any,
        wall: WallClock,
        *,
        journal: Journal,
        link: LongPollLink,
        who: Identity,
        first_id: int,
    ) -> None:
        self._clock = reactor
        self._wall = wall
        self._journal = journal
        self._link = link
        self._who = who
        self._inflight = Inflight()
        self._outbox = MessageOutbox(
            settings.hold_bytes,
            display_ids(first_id, self._reserve_ids),
            self._crowded,
        )
        self._accepts: Batcher[str, Verdict] = Batcher("accepting", link.accept, most=MAX_COMMANDS, flights=2)
        self._results: Batcher[Result, Receipt] = Batcher(
            "posting results", link.results, most=MAX_RESULTS, flights=RESULT_FLIGHTS
        )
        obedience = Obedience(who.agent, who.company, [read_public(text) for text in who.master_keys])
        self._tasks = Tasks(
            journal,
            Upward(self._accepts.put_all, self._results.put, self._outbox.drained),
            obedience,
            Handlers(execute=self._execute, kill=self._kill),
            clock=reactor,
            wall=wall,
            most=settings.max_tasks,
        )
        self._manager = ProcessManager(
            _platform(settings, reactor),
            reactor,
            wall,
            said=self._said,
            finished=lambda _, end: self._tasks.finished(end),
        )
        self._upkeep = Periodic("forgetting old commands", FORGET_EVERY_S, self._forget, reactor)

    async def start(self) -> None:
        """Go on with what was left, then ask for more."""
        await self._tasks.recover()
        self._inflight.spawn(
            "posting messages",
            post_messages(
                self._outbox, self._link, self._clock, flush_s=FLUSH_S, enough_bytes=ENOUGH_BYTES, log=self.log
            ),
        )
        self._link.start(Inbox(lambda: self._tasks.room, self._tasks.take))
        self._upkeep.startService()

    async def stop(self, patience_s: float) -> None:
        """Take no more, end everything, tell the master of it for as long as `patience_s`."""
        self._upkeep.stopService()
        await self._link.stop()
        self._manager.resume()
        self._manager.kill_all(SHUTDOWN)
        while len(self._manager):
            await sleep(self._clock, 0.02)
        end = self._clock.seconds() + patience_s
        while self._tasks.busy and self._clock.seconds() < end:
            await sleep(self._clock, 0.02)
        await self._tasks.cancel()
        for part in (self._accepts, self._results, self._inflight):
            await part.cancel()

    def _execute(self, request: Request) -> None:
        command = request.command
        job = Job(task=command.id, run=command.run, args=request.args, data=request.data)
        self._manager.start(job, identity(command.id, self._who.agent.gid, self._who.agent.nid))

    def _kill(self, task: str) -> bool:
        return self._manager.kill(task)

    def _crowded(self, full: bool) -> None:  # noqa: FBT001 (the outbox's two words)
        """The outbox is full, or has room again."""
        if full:
            self._manager.pause()
        else:
            self._manager.resume()

    def _said(self, job: Job, messages: list[tuple[int, str]]) -> None:
        self._outbox.add(job.task, job.args.domain, job.args.name, epoch_ms(self._wall), messages)

    def _reserve_ids(self, end: int) -> None:
        self._inflight.spawn(
            "reserving message ids",
            self._journal.run(lambda connection: rows.set_meta(connection, MESSAGE_ID, str(end))),
        )

    async def _forget(self) -> None:
        now = epoch_ms(self._wall)
        while await self._journal.run(lambda connection: rows.forget(connection, now)):
            pass


def _data_dir(settings: AgentSettings) -> Path:
    return private_dir(Path(settings.data_dir).resolve())


if sys.platform == "win32":

    def _platform(settings: AgentSettings, reactor: Any) -> Platform:
        del settings, reactor
        raise StartError("this agent cannot start processes on this kind of system yet")

else:

    def _platform(settings: AgentSettings, reactor: Any) -> Platform:
        from deployer_agent.processes.platform_posix import platform_for  # noqa: PLC0415 (only where it can be imported)

        root = str(Path(settings.data_dir).resolve())
        return platform_for(reactor, root, allow_root=settings.allow_root)


def _instance(connection: Any) -> str:
    """The name of this installation of the agent, made with its journal."""
    known = rows.get_meta(connection, INSTANCE)
    if known is None:
        known = secrets.token_hex(16)
        rows.set_meta(connection, INSTANCE, known)
    return known


def _trust(ca_file: str | None) -> BrowserLikePolicyForHTTPS:
    """Masters are known by the system's roots, or by the operator's."""
    if ca_file is None:
        return BrowserLikePolicyForHTTPS()
    try:
        pem = Path(ca_file).read_bytes()
        return BrowserLikePolicyForHTTPS(ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(pem)]))
    except (OSError, SSL.Error) as error:
        raise StartError(f"ca_file {ca_file} cannot be used: {error}") from None


def _version() -> str:
    try:
        return version("deployer")
    except PackageNotFoundError:
        return "checkout"
