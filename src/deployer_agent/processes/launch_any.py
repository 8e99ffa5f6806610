"""Starts and ends processes by Twisted's own means, where there are no sessions: Windows (untested there)."""

import shutil
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol

from deployer.protocol import codes
from deployer_agent.errors import RefusedError
from deployer_agent.processes.plan import Plan


class PlainProcess:
    """A child as Twisted's reactor starts it; its pid stands for its session."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.session: int = transport.pid

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

    def abandon(self) -> None:
        """Close our ends of its pipes."""
        self.transport.loseConnection()


class PlainLauncher:
    """Starts processes and ends them, without what they started themselves."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._running: dict[int, Any] = {}

    def launch(self, plan: Plan, protocol: ProcessProtocol) -> PlainProcess:
        """Start it; RefusedError when that cannot be done."""
        path = shutil.which(plan.executable, path=plan.environment.get("PATH"))
        if path is None:
            raise RefusedError(codes.NOT_FOUND, f"{plan.executable} is not an executable on the PATH")
        arguments = [plan.executable, *plan.arguments]
        try:
            transport = self._reactor.spawnProcess(protocol, path, arguments, dict(plan.environment), plan.directory)
        except OSError as error:
            raise RefusedError(codes.SPAWN_FAILED, f"{plan.executable} could not be started: {error}") from None
        if not plan.data:
            transport.closeStdin()
        self._running[transport.pid] = transport
        return PlainProcess(transport)

    def end(self, session: int, *, leader_lives: bool, force: bool) -> int:
        """End the process itself."""
        if not leader_lives:
            self._running.pop(session, None)
            return 0
        with suppress(ProcessExitedAlready):
            self._running[session].signalProcess("KILL" if force else "TERM")
        return 1

    def members(self, session: int, *, leader_lives: bool) -> list[int]:
        """Return the process itself as long as it lives."""
        return [session] if leader_lives else []
