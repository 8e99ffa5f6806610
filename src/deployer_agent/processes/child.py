"""One running process: its output goes to the outbox with levels, its end is told once everything is read."""

from collections.abc import Callable, Mapping
from typing import Final

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from deployer.kit.clock import Call, Clock
from deployer.protocol import levels
from deployer_agent.processes.output import Output, OutputParser
from deployer_agent.processes.plan import Emit, Running

BLOCK_S: Final = 10.0
"""How long a block may stay open before what it holds is given out."""

PIPES_S: Final = 2.0
"""How long after the exit we wait for pipes that a process left behind keeps open."""

Exit = tuple[int | None, int | None]
"""Status and the number of the signal, one of them None."""


class Child(ProcessProtocol):
    """Reads a process to its end; it was last `heard` at that time of the clock.

    `ended` is called once, when it has exited and its pipes are read or given up.
    """

    def __init__(self, clock: Clock, emit: Emit, exited: Callable[[], None], ended: Callable[[Exit], None]) -> None:
        self._clock = clock
        self._emit = emit
        self._exited = exited
        self._ended = ended
        self._parsers = {1: OutputParser(levels.STDOUT), 2: OutputParser(levels.STDERR)}
        self._patience: Call | None = None
        self._expiry: Call | None = None
        self.held = False
        self.heard = clock.seconds()
        self.process: Running | None = None
        self.result = (0, "")
        self.alive = True

    def hold(self, *, held: bool) -> None:
        """Stop, or go on, reading."""
        self.held = held
        if self.process is not None:
            self.process.hold(held=held)

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 (Twisted's name)
        """Parse what was read."""
        self.heard = self._clock.seconds()
        parser = self._parsers[childFD]
        self._take(parser.feed(data))
        if parser.open_block is not None and self._expiry is None:
            self._watch_blocks()

    def childConnectionLost(self, childFD: int) -> None:  # noqa: N803 (Twisted's name)
        """Give out what is left of a stream that has ended."""
        if childFD in self._parsers:
            self._take(self._parsers[childFD].finish())

    def processExited(self, reason: Failure) -> None:  # noqa: ARG002 (the reason comes again with processEnded)
        """Wait for the pipes, but not for ever."""
        self.alive = False
        self._patience = self._clock.callLater(PIPES_S, self._give_up)
        self._exited()

    def processEnded(self, reason: Failure) -> None:
        """Tell how it ended: everything it printed has been given out."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        self._ended(_how(reason))

    def _watch_blocks(self) -> None:
        """What a block holds is not kept back for longer than ten seconds (twenty, for the second stream's)."""
        opened = {number: parser.open_block for number, parser in self._parsers.items()}
        self._expiry = None
        if any(opened.values()):
            self._expiry = self._clock.callLater(BLOCK_S, self._expire, opened)

    def _expire(self, opened: Mapping[int, object]) -> None:
        for number, parser in self._parsers.items():
            if parser.open_block is not None and parser.open_block is opened[number]:
                self._take(parser.expire())
        self._watch_blocks()

    def _give_up(self) -> None:
        """Let go of the pipes, but not while unread output is held back by ourselves."""
        if self.held:
            self._patience = self._clock.callLater(PIPES_S, self._give_up)
        elif self.process is not None:
            self.process.abandon()

    def _take(self, output: Output) -> None:
        for message in output:
            if message[0] in levels.RESULTS:
                self.result = message[:2]
        if output:
            self._emit(output)


def _how(reason: Failure) -> Exit:
    error = reason.value
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return None, error.signal
    if isinstance(error, ProcessTerminated | ProcessDone):
        return error.exitCode or 0, None
    raise TypeError(f"no exit of a process: {error!r}")
