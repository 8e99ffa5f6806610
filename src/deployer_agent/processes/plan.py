"""What is to be run, and how it ended: the records between the commands, the manager and the launchers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct
from twisted.internet.protocol import ProcessProtocol

from deployer_agent.processes.output import Output

EndedBy = Literal["", "MAX_TIME", "KILLED", "AGENT_STOPPED", "LIMIT"]


class Plan(Struct, frozen=True, kw_only=True):
    """One start of one program. `arguments` without the program's own name; `max_time` 0: no limit.

    `run` counts the starts of a task from 1. `asked`: which variables of the environment the job itself brings. `user`
    and `group` None: the agent's own, or what its policy says.
    `whole`: what it leaves behind when it ends is ended too. `limits` are named as prlimit(1) names them, `pids` and
    `memory` are those of everything the task started. Bytes and seconds throughout.
    """

    task: str
    run: int = 1
    executable: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    asked: Collection[str] = ()
    directory: str | None = None
    data: str = ""
    user: str | None = None
    group: str | None = None
    umask: int = 0o077
    limits: Mapping[str, int] = {}
    max_time: float = 0
    grace: float = 5.0
    stop_signal: int = 15
    max_memory: int = 0
    watchdog: float = 0
    whole: bool = False


class Footprint(Struct, frozen=True, kw_only=True):
    """By what everything that a process started is found, by this agent or, from the journal, by its next run.

    `start`: of the process, in clock ticks since the boot `boot`. `marker`: the value of DEPLOYER_RUN in its
    environment, different for each start. `cgroup`: the group's name below the agent's own, None without one.
    """

    pid: int
    start: int
    boot: str
    marker: str
    cgroup: str | None = None


class Ended(Struct, frozen=True, kw_only=True):
    """How a process ended. `signal` is a name as `SIGKILL`; `by` tells what we did to it, empty when nothing.

    `why` is a sentence where `by` alone does not say it. `pid`: 0 when it is not known.
    """

    exit_status: int | None
    signal: str | None
    by: EndedBy
    why: str | None = None
    level: int
    data: str
    starttime: int
    time: int
    pid: int = 0


class Living(Struct, frozen=True):
    """A process that runs: the `run`-th of a task, since `started` (epoch ms), `age_s` seconds ago."""

    task: str
    run: int
    pid: int
    started: int
    age_s: float


class Running(Protocol):
    """A process that a launcher started."""

    @property
    def footprint(self) -> Footprint:
        """By what `Ender` finds everything that the process started."""

    def hold(self, *, held: bool) -> None:
        """Stop, or go on, reading what it prints."""

    def feed(self, data: bytes) -> None:
        """Write to its stdin and close it."""

    def signalProcess(self, signalID: int) -> None:  # noqa: N802, N803 (Twisted's)
        """Send a signal to the process itself; ProcessExitedAlready when it has ended."""

    def abandon(self) -> None:
        """Close our ends of its pipes, although others may still hold theirs."""


Launch = Callable[[Plan, ProcessProtocol], Running]
"""Start a process; RefusedError with a code when that cannot be done."""

Emit = Callable[[Output], None]
"""Takes the messages of one process, in order."""


class Ender(Protocol):
    """Finds and signals everything that belongs to a process, wherever it went."""

    def signal(self, footprint: Footprint, number: int) -> int:
        """Send a signal to all that are left (those that run, not zombies); returns how many there are."""

    def members(self, footprint: Footprint) -> list[int]:
        """Who is left."""

    def seen(self, footprint: Footprint) -> list[int]:
        """Who belonged to it when somebody looked last: cheap, and may name processes that have ended."""

    def memory(self, footprint: Footprint) -> int:
        """Resident bytes of all that are left."""

    def over_memory(self, footprint: Footprint) -> bool:
        """Whether the kernel ended one of them because the group was over its memory limit."""

    def forget(self, footprint: Footprint) -> None:
        """Nobody is left, or what is left may stay: let go of what was kept for it, such as an empty cgroup."""
