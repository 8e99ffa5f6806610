"""Starts and ends processes by Twisted's own means, where there are no sessions: Windows (untested there)."""

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol

from deployer.protocol import codes
from deployer_agent.errors import RefusedError
from deployer_agent.policy import Policy
from deployer_agent.processes.environment import child_environment
from deployer_agent.processes.plan import Footprint, Plan


class PlainProcess:
    """A child as Twisted's reactor starts it."""

    def __init__(self, transport: Any, footprint: Footprint) -> None:
        self.transport = transport
        self.footprint = footprint

    def hold(self, *, held: bool) -> None:
        """Stop, or go on, reading what it prints."""
        if held:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def feed(self, data: bytes) -> None:
        """Write to its stdin and close it."""
        self.transport.write(data)
        self.transport.closeStdin()

    def signalProcess(self, signalID: int) -> None:  # noqa: N802, N803 (Twisted's)
        """End it, whatever the signal: there is but one way."""
        self.transport.signalProcess("TERM" if signalID == signal.SIGTERM else "KILL")

    def abandon(self) -> None:
        """Close our ends of its pipes."""
        self.transport.loseConnection()


class PlainLauncher:
    """Starts processes and ends them (`plan.Launch`, `plan.Ender`), without what they started themselves.

    Other users and limits are refused: this system has no way to them.
    """

    def __init__(
        self,
        reactor: Any,
        policy: Policy,
        instance: str,
        *,
        environment: Mapping[str, str],
        uid: Callable[[], int] = lambda: -1,
    ) -> None:
        self._reactor = reactor
        self._policy = policy
        self._instance = instance
        self._environment = environment
        self._uid = uid
        self._running: dict[str, Any] = {}

    def launch(self, plan: Plan, protocol: ProcessProtocol) -> PlainProcess:
        """Start it; RefusedError when that cannot be done."""
        self._require_plain(plan)
        self._policy.require_environment(plan.asked)
        marker = f"{self._instance}:{plan.task}:{plan.run}"
        environment = child_environment(self._environment, plan.environment, {"DEPLOYER_RUN": marker})
        path = shutil.which(plan.executable, path=environment.get("PATH"))
        if path is None:
            raise RefusedError(codes.NOT_FOUND, f"{plan.executable} is not an executable on the PATH")
        path = self._policy.require_executable(os.path.abspath(path))  # noqa: PTH100 (as the globs are written)
        arguments = [plan.executable, *plan.arguments]
        try:
            transport = self._reactor.spawnProcess(protocol, path, arguments, environment, plan.directory)
        except OSError as error:
            raise RefusedError(codes.SPAWN_FAILED, f"{plan.executable} could not be started: {error}") from None
        if not plan.data:
            transport.closeStdin()
        self._running[marker] = transport
        return PlainProcess(transport, Footprint(pid=transport.pid or 0, start=0, boot="", marker=marker))

    def signal(self, footprint: Footprint, number: int) -> int:
        """End the process itself, whatever the signal: there is but one way."""
        transport = self._running.get(footprint.marker)
        if transport is None or transport.pid is None:
            return 0
        with suppress(ProcessExitedAlready):
            transport.signalProcess("TERM" if number == signal.SIGTERM else "KILL")
            return 1
        return 0

    def members(self, footprint: Footprint) -> list[int]:
        """Return the process itself as long as it lives."""
        transport = self._running.get(footprint.marker)
        return [] if transport is None or transport.pid is None else [footprint.pid]

    def seen(self, footprint: Footprint) -> list[int]:
        """Return the process itself."""
        return self.members(footprint)

    def memory(self, footprint: Footprint) -> int:  # noqa: ARG002 (not known here)
        """Return 0: not known here."""
        return 0

    def over_memory(self, footprint: Footprint) -> bool:  # noqa: ARG002 (there are no cgroups)
        """Return False: there are no cgroups."""
        return False

    def forget(self, footprint: Footprint) -> None:
        """Let go of the process."""
        self._running.pop(footprint.marker, None)

    def _require_plain(self, plan: Plan) -> None:
        decided = self._policy.judge(
            user=plan.user, group=plan.group, limits=plan.limits, agent_uid=self._uid(), uid_of=lambda _: -2
        )
        if decided.user is not None or decided.group is not None:
            raise RefusedError(codes.PRIVILEGES, "on this system jobs run as the agent's own user only")
        if plan.limits:
            raise RefusedError(codes.LIMITS, "this system has no limits for jobs")
