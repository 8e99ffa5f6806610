"""Every part of an agent that has joined, built top to bottom, started and stopped in order."""

import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.logger import Logger

from deployer.kit.clock import WallClock, sleep
from deployer.kit.periodic import Periodic
from deployer.kit.threads import Threads
from deployer.kit.unhandled import Unhandled, UnhandledLog
from deployer.kit.version import own_version
from deployer.protocol.commands import ExecuteArgs, KillArgs, LimitArgs, NoArgs
from deployer.protocol.levels import CRITICAL, WARNING
from deployer.protocol.messages import OWN_FAILURES
from deployer.protocol.processes import ProcessesAnswer
from deployer.protocol.scripts import ScriptAnswer, ScriptArgs
from deployer_agent.assembly.measuring import Measuring
from deployer_agent.commands import facts
from deployer_agent.commands.acceptance import Acceptance
from deployer_agent.commands.check import Checker
from deployer_agent.commands.execute import Execute, Runner
from deployer_agent.commands.extension import handler as extension
from deployer_agent.commands.kill import Kill, Killall, restart
from deployer_agent.commands.limit import Limit
from deployer_agent.commands.messages import MessageCommands
from deployer_agent.commands.orphans import Orphans
from deployer_agent.commands.ping import ping
from deployer_agent.commands.recovery import Parts, Recovery
from deployer_agent.commands.registry import Handler, Table, frozen, of
from deployer_agent.commands.roster import Exits, Roster
from deployer_agent.commands.runs import Footprints, Runs
from deployer_agent.commands.script import Script, Shelf, lua, python
from deployer_agent.commands.speech import Keepers, Speech, Wanted
from deployer_agent.commands.startup import Startup, unrecorded
from deployer_agent.commands.supervise import Supervisor
from deployer_agent.commands.supervise import Ways as SupervisorWays
from deployer_agent.commands.tasks import Host, Tasks, Ways
from deployer_agent.commands.usage import UsageCommands
from deployer_agent.commands.verify import Verifier
from deployer_agent.config import AgentSettings
from deployer_agent.facts.host import HostReader
from deployer_agent.journal.journal import Journal
from deployer_agent.journal.space import Space
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.facts import FactsLink
from deployer_agent.link.identity import Identity
from deployer_agent.link.link import Link, Outboxes
from deployer_agent.link.longpoll import LongPoll
from deployer_agent.link.newest import newest_lane
from deployer_agent.link.requests import Requests
from deployer_agent.messages.store import Bounds, MessageStore
from deployer_agent.outbox.batch import Source
from deployer_agent.outbox.messages import Bounds as OutboxBounds
from deployer_agent.outbox.messages import MessageOutbox, Tell
from deployer_agent.outbox.numbers import Numbers
from deployer_agent.outbox.results import ResultOutbox
from deployer_agent.outbox.spool import Spool
from deployer_agent.platform import load_policy, platform
from deployer_agent.policy import Policy
from deployer_agent.processes.manager import Manager, Notes

OUTBOX_FILE: Final = "outbox.db"
MESSAGES_DIR: Final = "messages"
SCRIPTS_DIR: Final = "scripts"
FORGET_S: Final = 3600.0
PROCESSES_S: Final = 2.0
SPACE_S: Final = 5.0
LOOK_S: Final = 0.05
SETTLE_S: Final = 30.0
RESTART_S: Final = 1.0
OWN: Final = Source("", "agent", "messages")
"""Whose messages those of the agent itself are."""


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
        space: Space,
        identity: Identity,
        requests: Requests,
    ) -> None:
        self._reactor = reactor
        self._told_lost = 0
        self._journal = journal
        self._requests = requests
        self._settings = settings
        self._wall = wall
        policy = load_policy(settings.policy_file, allow_root=settings.allow_root)
        self.platform = platform(reactor, policy, journal.instance)
        footprints = Footprints(journal, reactor)
        notes = Notes(footprints.begun, footprints.over)
        self.manager = Manager(self.platform.launch, self.platform.ender, reactor, wall, notes)
        data_dir = Path(settings.data_dir)
        self.space = space
        self.spool = Spool.open(data_dir / OUTBOX_FILE, wall, reactor.callFromThread)
        self.messages = MessageOutbox(
            reactor,
            self.spool,
            OutboxBounds(settings.hold_bytes, settings.outbox_bytes),
            Tell(self._hold, self._say),
            lambda: space.roomy,
        )
        self.store = MessageStore(
            data_dir / MESSAGES_DIR,
            Bounds(total=settings.messages_bytes),
            wall,
            reactor.callFromThread,
            on_hold=self.manager.hold_one,
            may_write=lambda: space.roomy,
        )
        keepers = Keepers(self.store.add, self.store.kept, self.messages.add, self.messages.settle)
        numbers = Numbers(journal.messages, journal.reserve_messages)
        self.measuring = Measuring(settings, self.manager, reactor, wall, lambda: space.roomy)
        self.speech = Speech(keepers, numbers, reactor, wall, settings.max_lines)
        self._confessing = False
        self.unhandled = UnhandledLog()
        self.results = ResultOutbox(journal.sent, journal.runs_sent)
        self.acceptance = Acceptance()
        self.roster = Roster(
            journal,
            Exits(self.speech.settle, self.results.add, self._end_process),
            reactor,
            min(settings.max_jobs, policy.max_jobs or settings.max_jobs),
        )
        self.verifier = verifier = Verifier(identity.keys(), identity.agent, identity.company)
        host = Host(policy.require_command, space.require)
        ways = Ways(verifier=verifier, journal=journal, ask=self.acceptance.ask, host=host)
        self.tasks = Tasks(ways, self.roster, reactor, wall, settings.max_tasks)
        runs = Runs(journal, reactor, self.results.add_run)
        supervisor = Supervisor(
            SupervisorWays(
                self.manager.run,
                runs.begin,
                Checker(Threads(reactor)),
                runs.record,
                self.roster.rest,
                self.roster.resume,
            ),
            reactor,
            wall,
        )
        runner = Runner(supervisor, self.speech.add, places(settings.data_dir), self.measuring.metering)
        own_supervisor = Supervisor(unrecorded(self.manager.run), reactor, wall)
        own_runner = Runner(own_supervisor, self.speech.add, places(settings.data_dir), self.measuring.metering)
        table = self._table(journal, runner, policy, runs)
        self.tasks.know(table)
        self.startup = Startup(settings.startup, identity.agent, own_runner, reactor)
        orphans = Orphans(footprints, self.platform.trace, self.manager.clear, reactor)
        parts = Parts(journal, self.roster, self.tasks, runs, orphans, self._say, self.results.add_run)
        self.orphans = orphans
        self.recovery = Recovery(parts, table, reactor)
        self.complaints = Complaints(reactor)
        outboxes = Outboxes(self.acceptance, self.messages, self.results, self.measuring.statistics)
        self.link = Link(requests, outboxes, reactor, self.complaints)
        reader, threads = HostReader(own_version()), Threads(reactor)
        self.facts = FactsLink(requests, lambda: threads.run(reader), reactor, self.complaints)
        listed = self.measuring.listed
        self.processes = newest_lane(("processes", ProcessesAnswer), listed, requests, reactor, self.complaints)
        self.poll = LongPoll(requests, lambda: self.tasks.room, self.tasks.take, reactor, self.complaints)
        self._periodic = (
            Periodic("forgetting old tasks", FORGET_S, lambda: _forget(journal), reactor),
            Periodic("looking after processes", PROCESSES_S, self._look, reactor),
            *self.measuring.periodic,
            Periodic("looking for room on the disk", SPACE_S, self._look_for_room, reactor),
        )

    async def start(self) -> None:
        """Go on where the agent was when it ended, then ask for more."""
        self.store.start()
        self.unhandled.start(self._confess)
        for periodic in self._periodic:
            periodic.startService()
        self.link.open()
        self.facts.open()
        self.processes.open()
        await self.recovery.run()
        self.startup.start(self.orphans.all_gone)
        self.poll.start()

    async def stop(self, within_s: float) -> None:
        """End in order: take nothing more, end what runs, keep and post what came of it."""
        for periodic in self._periodic:
            periodic.stopService()
        await self.facts.close()
        await self.processes.close()
        await self.poll.stop()
        await self._drain(self._reactor.seconds() + self._settings.drain_s)
        await self.tasks.stop()
        await self.recovery.stop()
        await self.roster.close()
        await DeferredList([Deferred.fromCoroutine(self.startup.stop()), Deferred.fromCoroutine(self.manager.stop())])
        await self._settle()
        self.unhandled.stop()
        self.measuring.metering.flush()
        self.messages.flush()
        await self._post(self._reactor.seconds() + within_s)
        await self.link.close()
        self.messages.keep()
        self.spool.close()
        self.measuring.spool.close()
        self.platform.close()
        self.store.stop()
        await sleep(self._reactor, 0)  # what the spool's thread says of its last writes has its turn
        await self._note_end()

    async def _note_end(self) -> None:
        """Tell the next agent that no message is missing, where that is so."""
        if not self.messages.kept:
            return
        try:
            await self._journal.end_clean()
        except sqlite3.Error as error:  # a full disk: the next agent warns of messages that may be missing
            self.log.warn("the journal could not note this end: {error}", error=str(error))

    async def _settle(self) -> None:
        """A disk that stays full keeps results from the journal: the next agent reports these as unknown."""
        settled = Deferred.fromCoroutine(self.roster.settled())
        settled.addTimeout(SETTLE_S, self._reactor)
        try:
            await settled
        except DeadlineError:
            self.log.error(  # noqa: TRY400 (the journal has said why)
                "results could not be written down in {seconds} s and are lost", seconds=SETTLE_S
            )

    async def _post(self, deadline: float) -> None:
        while (self.speech.settling or self.messages.size or len(self.results)) and self._reactor.seconds() < deadline:
            await sleep(self._reactor, LOOK_S)

    async def _drain(self, deadline: float) -> None:
        """Let what runs end by itself."""
        while self.roster.busy and self._reactor.seconds() < deadline:
            await sleep(self._reactor, LOOK_S)

    def _end_process(self, task: str, number: int | None) -> bool:
        return self.manager.end(task, "KILLED", number)

    async def _look(self) -> None:
        self.platform.reap()
        if len(self.manager):
            self.platform.look()

    async def _look_for_room(self) -> None:
        self.space.look()
        lost, self._told_lost = self.store.lost - self._told_lost, self.store.lost
        if lost:
            self._say(OWN, f"{lost} messages could not be kept on this host: its disk failed, or was full")

    def _confess(self, failure: Unhandled) -> None:
        """Tell the master of an exception of the agent's own, unless it came of telling."""
        if not self._confessing:
            self._confessing = True
            text = f"{failure.place}: {failure.text}\n{failure.traceback}"
            try:
                self.speech.add(Source("", *OWN_FAILURES), Wanted(), [(CRITICAL, text, 0)])
            finally:
                self._confessing = False

    def _say(self, source: Source, text: str) -> None:
        """Put a warning into somebody's log."""
        self.speech.add(source, Wanted(), [(WARNING, text, 0)])

    def _hold(self, held: bool) -> None:  # noqa: FBT001 (a callable of one value)
        self.manager.hold(held=held)

    def _table(self, journal: Journal, runner: Runner, policy: Policy, runs: Runs) -> Table:
        kill = Kill(self.roster.end, self.manager.signal, journal.knows, runs.note_kill)
        usage = UsageCommands(self.roster.tasks, self.manager.pids, self._reactor, self._wall)
        messages = MessageCommands(self.store, Threads(self._reactor), self._reactor, self._wall)
        extensions = {name: extension(its, runner) for name, its in self._settings.extensions.items()}
        return frozen(
            {
                **extensions,
                **facts.handlers(self._reactor, self._wall),
                **usage.handlers(),
                **messages.handlers(),
                **self._scripts(runner, policy),
                "execute": Handler(of(ExecuteArgs), Execute(runner, policy.require_shell)),
                "ping": Handler(of(NoArgs), ping, harmless=True),
                "kill": Handler(of(KillArgs), kill, control=True),
                "killall": Handler(of(NoArgs), Killall(self.manager.end_all), control=True),
                "limit": Handler(of(LimitArgs), Limit(self.manager.limit), control=True),
                "restart": Handler(of(NoArgs), restart, control=True, then=self._restart),
            }
        )

    def _scripts(self, runner: Runner, policy: Policy) -> Table:
        settings = self._settings
        cache = Path(settings.data_dir) / SCRIPTS_DIR
        shelf = Shelf(Path(settings.scripts_dir), cache, self._fetch_script)

        def owner(user: str | None) -> int | None:
            return self.platform.owner(policy, user)

        languages = {
            "execute_js_py": python(settings.python or sys.executable),
            "execute_js_lua": lua(settings.lua or None),
        }
        return {name: Handler(of(ScriptArgs), Script(one, shelf, runner, owner)) for name, one in languages.items()}

    async def _fetch_script(self, domain: str, name: str, sha256: str) -> str:
        return (await self._requests.get(f"script?domain={domain}&name={name}&sha256={sha256}", ScriptAnswer)).text

    def _restart(self) -> None:
        """End the agent soon: the result of the command that asked for it is on its way by then."""
        self._reactor.callLater(RESTART_S, self._reactor.stop)


async def _forget(journal: Journal) -> None:
    await journal.forget()


def places(data_dir: str) -> dict[str, str]:
    """What `$agentroot`, `$root` and `$tmp` stand for."""
    return {
        "agentroot": str(Path(data_dir).absolute()),
        "root": Path(data_dir).absolute().anchor,
        "tmp": tempfile.gettempdir(),
    }
