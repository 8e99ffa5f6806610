"""`execute`: one program with its arguments, literally; a line of the shell only where that is asked for (J4)."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from deployer.protocol import codes, levels
from deployer.protocol.commands import ExecuteArgs, RunArgs
from deployer.protocol.results import Result
from deployer.protocol.signals import plain
from deployer_agent.commands.registry import Task
from deployer_agent.commands.speech import Wanted
from deployer_agent.commands.supervise import Work
from deployer_agent.errors import RefusedError
from deployer_agent.journal.records import Entry
from deployer_agent.outbox.batch import Source
from deployer_agent.processes.environment import fill
from deployer_agent.processes.output import Output
from deployer_agent.processes.plan import Emit, Plan
from deployer_agent.processes.signals import number_of

SHELL: Final = "/bin/sh"
Supervise = Callable[[Task, Work], Coroutine[Deferred[Any], Any, Result | None]]


class Program(Struct, frozen=True):
    """What is started; `environment` beside what the job itself asks for."""

    executable: str
    arguments: list[str]
    directory: str | None = None
    environment: Mapping[str, str] = {}


class Own(Struct, frozen=True):
    """What is different for a process of the agent itself: whose messages, which levels, who else hears them."""

    source: Source
    levels: str
    hear: Emit


class Meter(Protocol):
    """Who samples what runs."""

    def begin(self, task: str, source: Source, step: int) -> Emit:
        """Sample a task every `step` seconds (0: as usual); what it returns takes what the task prints."""

    def end(self, task: str) -> None:
        """Sample it no longer."""


class Runner:
    """Runs programs for tasks: makes the plans, lets the supervisor run them, sends what they say."""

    def __init__(
        self,
        supervise: Supervise,
        speak: Callable[[Source, Wanted, Output], None],
        places: Mapping[str, str],
        meter: Meter,
    ) -> None:
        self._supervise = supervise
        self._speak = speak
        self._places = places
        self._meter = meter

    async def run(self, task: Task, program: Program, own: Own | None = None) -> Result | None:
        """Run it to its end; RefusedError when it cannot be started. `own`: it is a process of the agent itself."""
        args: RunArgs = task.args
        source = own.source if own is not None else Source(task.id, args.domain, args.name)
        say = partial(self._speak, source, Wanted())
        listen: Emit = partial(self._speak, source, wanted(args, own.levels if own is not None else "*"))
        measure = self._meter.begin(task.id, source, args.stats_interval)
        if levels.STATSD in levels.parse(args.loglevels):
            listen = _both(measure, listen)
        if own is not None:
            listen = _both(own.hear, listen)
        try:
            work = Work(lambda run: self._plan(task.entry, args, program, run), listen, say)
            return await self._supervise(task, work)
        finally:
            self._meter.end(task.id)

    def _plan(self, entry: Entry, args: RunArgs, program: Program, run: int) -> Plan:
        directory = program.directory
        return Plan(
            task=entry.command.id,
            run=run,
            executable=fill(program.executable, self._places),
            arguments=program.arguments,
            environment={**program.environment, **args.env, **_own(entry)},
            asked=args.env if entry.payload else (),
            directory=None if directory is None else fill(directory, self._places),
            data=entry.data,
            user=args.user,
            group=args.group,
            umask=int(args.umask or "077", 8),
            limits={str(name): limit for name, limit in args.limits.items()},
            max_time=max(0, args.max_time),
            grace=args.grace,
            stop_signal=_number(args.stop_signal),
            max_memory=args.max_memory,
            watchdog=args.watchdog,
            whole=args.remembered or args.restarts > 0,
        )


class Execute:
    """Runs a program and tells how it ended. `require_shell`: RefusedError where the policy allows no shell."""

    def __init__(self, runner: Runner, require_shell: Callable[[], None]) -> None:
        self._runner = runner
        self._require_shell = require_shell

    async def __call__(self, task: Task) -> Result | None:
        """Run it; RefusedError when it cannot be started."""
        args: ExecuteArgs = task.args
        if args.shell:
            self._require_shell()
            return await self._runner.run(task, shell_program(args))
        return await self._runner.run(task, Program(args.executable, args.args, args.directory))


def shell_program(args: ExecuteArgs) -> Program:
    """A line of the shell; the arguments are its `$1`, `$2` and so on."""
    return Program(SHELL, ["-c", args.executable, args.name or "sh", *args.args], args.directory)


def _both(first: Emit, second: Emit) -> Emit:
    def emit(output: Output) -> None:
        first(output)
        second(output)

    return emit


def wanted(args: RunArgs, sent: str = "*") -> Wanted:
    """Which levels are kept and sent; `sent` unless `loglevels_ac` says otherwise."""
    processed = levels.parse(args.loglevels)
    return Wanted(
        processed & levels.parse(args.loglevels_db or "*"), processed & levels.parse(args.loglevels_ac or sent)
    )


def _number(name: str) -> int:
    try:
        return number_of(plain(name))
    except ValueError as error:
        raise RefusedError(codes.BAD_ARGUMENTS, str(error)) from None


def _own(entry: Entry) -> dict[str, str]:
    command = entry.command
    return {"DEPLOYER_JOB": command.id, "DEPLOYER_GID": str(command.gid), "DEPLOYER_NID": str(command.nid)}
