"""What is to be run, and how it ended: the records between the commands, the manager and the launchers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct
from twisted.internet.protocol import ProcessProtocol

from deployer_agent.processes.output import Output

EndedBy = Literal["", "MAX_TIME", "KILLED", "AGENT_STOPPED"]


class Plan(Struct, frozen=True, kw_only=True):
    """One start of one program. `arguments` without the program's own name; `max_time` 0: no limit."""

    task: str
    executable: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    directory: str | None = None
    data: str = ""
    max_time: float = 0
    grace: float = 5.0


class Ended(Struct, frozen=True, kw_only=True):
    """How a process ended. `signal` is a name as `SIGKILL`; `by` tells what we did to it, empty when nothing."""

    exit_status: int | None
    signal: str | None
    by: EndedBy
    level: int
    data: str
    starttime: int
    time: int


class Running(Protocol):
    """A process that a launcher started."""

    @property
    def session(self) -> int:
        """The number by which `Ender` finds everything that the process started."""

    def hold(self, *, held: bool) -> None:
        """Stop, or go on, reading what it prints."""

    def feed(self, data: bytes) -> None:
        """Write to its stdin and close it."""

    def abandon(self) -> None:
        """Close our ends of its pipes, although others may still hold theirs."""


Launch = Callable[[Plan, ProcessProtocol], Running]
"""Start a process; RefusedError with a code when that cannot be done."""

Emit = Callable[[Output], None]
"""Takes the messages of one process, in order."""


class Ender(Protocol):
    """Sends signals to everything that belongs to a process."""

    def end(self, session: int, *, leader_lives: bool, force: bool) -> int:
        """Ask (TERM) or make (KILL) all of a session end; returns how many there are."""

    def members(self, session: int, *, leader_lives: bool) -> list[int]:
        """Who is left of a session."""
