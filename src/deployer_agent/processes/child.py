"""One running process: its output becomes messages, its end a result."""

import signal
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from deployer.kit.clock import Call, Clock
from deployer.protocol import codes, levels
from deployer.protocol.results import Result
from deployer_agent.processes.output import Output, OutputParser

DRAIN_S: Final = 2.0
"""How long pipes may stay open after the process itself has ended (a grandchild may hold them for ever)."""
STDOUT: Final = 1
STDERR: Final = 2


class Ending(Struct, frozen=True):
    """That we end a process, and what its result will say."""

    state: str
    code: str
    reason: str


class Exit(Struct, frozen=True):
    """How a process ended: by status or by signal."""

    status: int | None
    signal: str | None


class Child(ProcessProtocol):
    """Reads a process. `said` gets its messages, `ended` is called once, when its output is complete."""

    transport: Any

    def __init__(
        self, data: bytes, clock: Clock, said: Callable[[list[Output]], None], ended: Callable[["Child"], None]
    ) -> None:
        self._data = data
        self._clock = clock
        self._said = said
        self._ended = ended
        self._parsers = {STDOUT: OutputParser(levels.STDOUT), STDERR: OutputParser(levels.STDERR)}
        self._drain: Call | None = None
        self._paused = False
        self.exit = Exit(None, None)
        self.running = True

    def connectionMade(self) -> None:
        """Hand over the data, then end it."""
        if self._paused:
            self.transport.pauseProducing()
        if self._data:
            self.transport.write(self._data)
        self.transport.closeStdin()
        self._data = b""

    def pause(self) -> None:
        """Read no more for now: the kernel blocks the process when its pipe is full."""
        self._paused = True
        if self.transport is not None:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self.transport is not None:
            self.transport.resumeProducing()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 (Twisted's name)
        """Output has come."""
        messages = self._parsers[childFD].feed(data)
        if messages:
            self._said(messages)

    def processExited(self, reason: Failure) -> None:
        """The process is gone; its pipes may not be."""
        self.running = False
        self.exit = _exit(reason)
        self._wait_for_pipes()

    def processEnded(self, reason: Failure) -> None:  # noqa: ARG002 (known since processExited)
        """The pipes are closed too."""
        if self._drain is not None and self._drain.active():
            self._drain.cancel()
        for parser in self._parsers.values():
            messages = parser.close()
            if messages:
                self._said(messages)
        self._ended(self)

    def _wait_for_pipes(self) -> None:
        self._drain = self._clock.callLater(DRAIN_S, self._close_pipes)

    def _close_pipes(self) -> None:
        if self._paused:  # what the process wrote is still in the pipe and waits for us
            self._wait_for_pipes()
            return
        for descriptor in (STDOUT, STDERR):
            self.transport.closeChildFD(descriptor)


def outcome(exit_: Exit, ending: Ending | None) -> dict[str, Any]:
    """The fields of a Result that tell how it ended; what we ended is so whatever it answered."""
    fields: dict[str, Any] = {"exit_status": exit_.status, "signal": exit_.signal}
    if ending is not None:
        return fields | {"state": ending.state, "code": ending.code, "reason": ending.reason}
    if exit_.signal is not None:
        return fields | {"state": "ERROR", "code": codes.SIGNAL, "reason": f"ended by {exit_.signal}"}
    if exit_.status:
        return fields | {"state": "ERROR", "code": codes.EXIT_STATUS, "reason": f"ended with status {exit_.status}"}
    return fields | {"state": "OK"}


def failed(task: str, run: int, code: str, reason: str) -> Result:
    """The result of what never ran."""
    return Result(id=task, run=run, state="ERROR", code=code, reason=reason[:2000])


def _exit(reason: Failure) -> Exit:
    value: Any = reason.value
    number = getattr(value, "signal", None)
    if number is None:
        return Exit(getattr(value, "exitCode", None), None)
    try:
        return Exit(None, signal.Signals(number).name)
    except ValueError:
        return Exit(None, f"SIG{number}")
