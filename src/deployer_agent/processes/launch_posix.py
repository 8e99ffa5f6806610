"""Starts processes without forking the agent (DESIGN 11), as whom and within what the host's policy says.

What needs neither another user nor limits nor a cgroup is spawned directly; all else goes through the stages of
`wrapper_posix`, which say on a pipe why they did not start it.
"""

import os
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from twisted.internet.protocol import ProcessProtocol

from deployer.protocol import codes
from deployer.protocol.ids import node
from deployer_agent.errors import RefusedError
from deployer_agent.policy import Policy
from deployer_agent.processes import (
    agent_posix,
    cgroups_posix,
    privileges_posix,
    proc_posix,
    process_posix,
    program_posix,
    start_posix,
)
from deployer_agent.processes import wrapper_posix as wrapper
from deployer_agent.processes.plan import Footprint, Plan

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

FEW_PIDS: Final = 8
_MOST_LEAF: Final = 200


class Call(Struct, frozen=True, kw_only=True):
    """What the kernel is asked to execute. `directory` None: where the agent is."""

    path: str
    arguments: list[str]
    environment: Mapping[str, str]
    directory: str | None = None
    wrapped: bool


class PosixLauncher:
    """Starts what a plan says (`plan.Launch`).

    `environment`: the agent's own, of which jobs get an allow-list. `instance`: 32 hex digits that differ for each
    agent. `started` is called with each process's footprint.
    """

    def __init__(
        self,
        reactor: Any,
        policy: Policy,
        cgroups: cgroups_posix.Cgroups | None,
        instance: str,
        *,
        environment: Mapping[str, str],
        started: Callable[[Footprint], None] = lambda _: None,
        uid: Callable[[], int] = os.geteuid,
        setpriv: str = privileges_posix.SETPRIV,
    ) -> None:
        self._reactor = reactor
        self._setpriv = setpriv
        self._cgroups = cgroups
        self._here = start_posix.Surroundings(
            policy=policy,
            environment=environment,
            instance=instance,
            uid=uid(),
            umask=agent_posix.own_umask(),
            cgroups=cgroups is not None,
        )
        self._started = started
        self._boot = proc_posix.Proc().boot()
        self._null: int | None = None

    def launch(self, plan: Plan, protocol: ProcessProtocol) -> process_posix.SessionProcess:
        """Start it; RefusedError when that cannot be done.

        What only the stages can find out (LIMITS, PRIVILEGES, BAD_WORKDIR, …) is the process's `refusal` when it ends.
        `plan.environment` holds what is the job's own; the rest of its environment is added here.
        """
        start = start_posix.prepare(plan, self._here)
        if self._cgroups is None:
            return self._launch(start, None, protocol, _call(start, [], self._setpriv))
        group = self._cgroups.make(leaf(plan.task, plan.run), start.group_limits)
        try:
            return self._launch_within(self._cgroups, group, start, protocol)
        except RefusedError:
            self._cgroups.remove(group)
            raise

    def _launch_within(
        self, cgroups: cgroups_posix.Cgroups, group: str, start: start_posix.Start, protocol: ProcessProtocol
    ) -> process_posix.SessionProcess:
        """In its group from its first moment: we enter it ourselves where that can be done, else the stages do.

        Never one with a limit of memory, which the kernel would hold the agent to, nor one with room for few processes.
        """
        narrow = "memory" in start.group_limits or start.group_limits["pids"] < FEW_PIDS
        if narrow or not cgroups.enterable:
            return self._launch(start, group, protocol, _call(start, cgroups.doors(group), self._setpriv))
        with cgroups.inside(group):
            return self._launch(start, group, protocol, _call(start, [], self._setpriv))

    def _launch(
        self, start: start_posix.Start, group: str | None, protocol: ProcessProtocol, call: Call
    ) -> process_posix.SessionProcess:
        try:
            process = self._spawn(call, start.plan, protocol)
        except OSError as error:
            raise _refused(call, start.plan, error) from None
        process.program = start.plan.executable
        process.memory_limit = start.group_limits.get("memory", 0) if group is None else 0
        process.footprint = Footprint(
            pid=process.number, start=process.start, boot=self._boot, marker=start.marker, cgroup=group
        )
        self._started(process.footprint)
        return process

    def _spawn(self, call: Call, plan: Plan, protocol: ProcessProtocol) -> process_posix.SessionProcess:
        begin: Any = process_posix.SessionProcess  # untyped in Twisted
        encoded = program_posix.encoded
        process: process_posix.SessionProcess = begin(
            self._reactor,
            encoded(call.path),
            [encoded(argument) for argument in call.arguments],
            {encoded(name): encoded(value) for name, value in call.environment.items()},
            None if call.directory is None else encoded(call.directory),
            protocol,
            childFDs={0: "w" if plan.data else self._nothing(), 1: "r", 2: "r"}
            | ({process_posix.STATUS: "r"} if call.wrapped else {}),
        )
        return process

    def _nothing(self) -> int:
        """`/dev/null`, which ends at once: what a child without data reads."""
        if self._null is None:
            self._null = os.open(os.devnull, os.O_RDONLY)
        return self._null


def leaf(task: str, run: int) -> str:
    """Name a start's cgroup: no longer than a file name may be, and different for different starts."""
    name = f"{node(task)}-{run}"
    return name if len(name) <= _MOST_LEAF else f"{name[:100]}-{sha256(name.encode()).hexdigest()[:32]}-{run}"


def _call(start: start_posix.Start, doors: list[str], setpriv: str) -> Call:
    return _plain(start) if start.plain and not doors else _wrapped(start, doors, setpriv)


def _plain(start: start_posix.Start) -> Call:
    plan = start.plan
    return Call(
        path=start.path,
        arguments=[plan.executable, *plan.arguments],
        environment=start.environment,
        directory=plan.directory,
        wrapped=False,
    )


def _wrapped(start: start_posix.Start, doors: list[str], setpriv: str) -> Call:
    plan = start.plan
    program_posix.require_format(plan.executable, start.full)
    arguments = wrapper.command(
        [program_posix.safe(start.path), *plan.arguments],
        directories=start.directories,
        umask=plan.umask,
        ulimits=start.ulimits,
        groups=doors,
        drop=[] if start.target is None else privileges_posix.drop(start.target, setpriv),
        environment=start.environment,
    )
    environment = wrapper.hidden(start.environment)
    return Call(path=arguments[0], arguments=arguments, environment=environment, wrapped=True)


def _refused(call: Call, plan: Plan, error: OSError) -> RefusedError:
    if not call.wrapped or not isinstance(error, FileNotFoundError):
        return program_posix.refused(plan.executable, error)
    return RefusedError(codes.PRIVILEGES, f"{plan.executable} was not started: this host has no {call.path}")
