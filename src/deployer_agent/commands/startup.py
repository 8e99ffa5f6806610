"""The agent's own processes, from its file: started in order, each when what it depends on is ready (DESIGN 5).

They are supervised as a job with `max_time` -1 is; what they say goes to the master as the agent's own messages.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.backoff import Backoff
from deployer.kit.clock import sleep
from deployer.kit.inflight import Inflight
from deployer.protocol.commands import LONG_RUNNING, ExecuteArgs, SignedCommand
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer_agent.commands.execute import Own, Program, Runner, shell_program
from deployer_agent.commands.readiness import Readiness, Terms
from deployer_agent.commands.registry import Handler, Task
from deployer_agent.commands.supervise import Ways
from deployer_agent.errors import RefusedError, StartError
from deployer_agent.journal.records import Entry
from deployer_agent.outbox.batch import Source
from deployer_agent.processes.plan import Emit, Ended, Plan

DOMAIN: Final = "startup"
LEVELS: Final = "2-9,20-23,30"
"""What of them goes to the master unless their `loglevels_ac` says otherwise (DESIGN 4)."""

RETRY_S: Final = 1.0
"""So long at least until what cannot be started is tried again, up to a minute later."""

_Port = Annotated[int, Meta(ge=1, le=65535)]


class StartupSettings(ExecuteArgs, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[startup.NAME]`: the arguments of `execute`, when it begins and how it is known to be ready."""

    max_time: Annotated[int, Meta(ge=LONG_RUNNING)] = LONG_RUNNING
    data: str = ""
    order: int = 0
    depends_on: list[str] = []  # noqa: RUF012 (msgspec copies it)
    ready_match: str | None = None
    ready_port: _Port | None = None
    ready_after: Annotated[float, Meta(ge=0)] | None = None
    ready_timeout: Annotated[float, Meta(ge=1)] = 60.0

    def __post_init__(self) -> None:
        """Refuse what only the values together tell."""
        ExecuteArgs.__post_init__(self)

    @property
    def ready(self) -> Terms:
        """How it is known to be ready."""
        return Terms(match=self.ready_match, port=self.ready_port, after_s=self.ready_after)


def in_order(settings: Mapping[str, StartupSettings]) -> list[str]:
    """Names in the order in which they begin: what they depend on first, then by `order` and name.

    StartError for a name that is not there and for a circle.
    """
    for name, its in settings.items():
        for other in its.depends_on:
            if other not in settings:
                raise StartError(f"[startup.{name}] depends on {other!r}, which is not there")
    done: list[str] = []
    waiting = sorted(settings, key=lambda name: (settings[name].order, name))
    while waiting:
        free = next((name for name in waiting if set(settings[name].depends_on) <= set(done)), None)
        if free is None:
            raise StartError(f"[startup]: {', '.join(waiting)} depend on each other in a circle")
        waiting.remove(free)
        done.append(free)
    return done


def unrecorded(run: Callable[[Plan, Emit], Coroutine[Deferred[Any], Any, Ended]]) -> Ways:
    """The ways of a supervisor whose runs are nobody's but ours: no journal, no records, no turns."""

    async def nothing(*_: Any) -> None:
        """Nobody is told."""

    async def same(result: Result) -> Result:
        return result

    return Ways(run, nothing, same, nothing, lambda _: None, nothing)


class Entrant(Struct, eq=False):
    """One of them."""

    name: str
    settings: StartupSettings
    task: Task
    readiness: Readiness


class Startup:
    """Starts them all and keeps them running."""

    log = Logger()

    def __init__(self, settings: Mapping[str, StartupSettings], agent: AgentId, runner: Runner, reactor: Any) -> None:
        self._runner = runner
        self._reactor = reactor
        self._inflight = Inflight()
        self._own = {name: _own(name, settings[name], agent, reactor) for name in in_order(settings)}

    def start(self, clear: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        """Begin: each starts as soon as what it depends on is ready, and `clear` (what was left here is gone)."""
        self._inflight.spawn("starting the agent's own processes", self._begin(clear))

    async def stop(self) -> None:
        """Start nothing more, and nothing again; the processes themselves are the manager's to end."""
        for own in self._own.values():
            own.task.interrupt.set("AGENT_STOPPED")
        for own in self._own.values():
            own.readiness.set()
        await self._inflight.settled()

    async def _begin(self, clear: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        await clear()
        for own in self._own.values():
            self._inflight.spawn(f"starting {own.name}", self._go(own))

    async def _go(self, own: Entrant) -> None:
        for name in own.settings.depends_on:
            await self._ready(own, self._own[name])
        if own.task.interrupt.reason:
            return
        own.task.at_work = True
        watching = Deferred.fromCoroutine(own.readiness.watch())
        watching.addErrback(lambda _: None)
        try:
            await self._run(own)
        finally:
            watching.cancel()

    async def _started(self, own: Entrant, source: Source) -> Result | None:
        """Run it; what cannot be started, since its disk is not there yet or the like, is tried again for ever."""
        backoff = Backoff(RETRY_S)
        while not own.task.interrupt.reason:
            try:
                return await self._runner.run(own.task, _program(own.settings), Own(source, LEVELS, own.readiness.hear))
            except RefusedError as error:
                self.log.error(  # noqa: TRY400 (its sentence says all)
                    "{name} cannot be started, {code}: {reason}", name=own.name, code=error.code, reason=str(error)
                )
            await own.task.interrupt.sleep(self._reactor, RETRY_S + backoff.next_delay())
        return None

    async def _ready(self, own: Entrant, other: Entrant) -> None:
        """Wait, and say so when it takes long."""
        patience = Deferred.fromCoroutine(self._complain(own, other))
        patience.addErrback(lambda _: None)
        try:
            await _also(other.readiness.done)
        finally:
            patience.cancel()

    async def _complain(self, own: Entrant, other: Entrant) -> None:
        while True:
            await sleep(self._reactor, other.settings.ready_timeout)
            self.log.warn("{name} waits for {other}, which is not ready", name=own.name, other=other.name)

    async def _run(self, own: Entrant) -> None:
        source = Source("", own.settings.domain or DOMAIN, own.settings.name or own.name)
        if not own.readiness.asked_for and own.settings.remembered:
            own.readiness.set()
        result = await self._started(own, source)
        if result is not None:
            log = self.log.info if result.state == "OK" else self.log.error
            log("{name} has ended: {state} {code}", name=own.name, state=result.state, code=result.code or "")
            if result.state == "OK" and not own.readiness.asked_for:
                own.readiness.set()


def _program(settings: StartupSettings) -> Program:
    if settings.shell:
        return shell_program(settings)
    return Program(settings.executable, settings.args, settings.directory)


def _own(name: str, settings: StartupSettings, agent: AgentId, reactor: Any) -> Entrant:
    """Its task's id is none that a command can have."""
    command = SignedCommand(
        id=f":startup:{name}",
        company="",
        gid=agent.gid,
        nid=agent.nid,
        cmd="execute",
        args=Raw(b"{}"),
        data_sha256="",
        created=0,
        not_after=0,
    )
    entry = Entry(command, "", settings.data)
    return Entrant(name, settings, Task(entry, _NO_HANDLER, settings), Readiness(settings.ready, reactor))


async def _never(task: Task) -> None:
    """No handler: the runner runs it."""


_NO_HANDLER: Final = Handler(lambda raw: raw, _never)


def _also(done: Deferred[None]) -> Deferred[None]:
    """A Deferred of our own that fires with one for which others wait too."""
    mine: Deferred[None] = Deferred()

    def tell(_: None) -> None:
        if not mine.called:
            mine.callback(None)

    done.addCallback(tell)
    return mine
