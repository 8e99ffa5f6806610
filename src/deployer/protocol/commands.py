"""What the master asks of one agent: the arguments of each command and the signed form that travels.

The master signs, at submit, the exact bytes of a `SignedCommand` (DESIGN 5). They travel with the signature and the
data as an `Envelope`; nothing between master and agent can make an agent run anything else.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from deployer.protocol import levels
from deployer.protocol.getmsgs import FilterArgs, GetMsgsArgs
from deployer.protocol.ids import GridId, Name, NodeId, TaskId
from deployer.protocol.levelsets import Expression
from deployer.protocol.signals import SignalName
from deployer.protocol.stats import MAX_STEP_S

MAX_DATA_BYTES: Final = 512 * 1024
MAX_ARGUMENTS: Final = 1000
TEN_YEARS_S: Final = 10 * 366 * 86400
DEFAULT_GRACE_S: Final = 5.0
LONG_RUNNING: Final = -1
DEFAULT_RESTARTS: Final = 5

_NO_NUL = "^[^\\x00\\ud800-\\udfff]*\\Z"
Text = Annotated[str, Meta(pattern=_NO_NUL, max_length=131_072)]
Path = Annotated[str, Meta(pattern=_NO_NUL, min_length=1, max_length=4096)]
VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
Seconds = Annotated[int, Meta(ge=0, le=TEN_YEARS_S)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
User = Annotated[str, Meta(pattern=r"^([A-Za-z_][A-Za-z0-9_.-]{0,31}|[0-9]{1,10})\Z")]
Mask = Annotated[str, Meta(pattern=r"^0?[0-7]{3}\Z")]
LimitName = Literal["as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack", "pids", "memory"]
"""As prlimit(1) has them; `pids` and `memory` (bytes) are those of everything that a task starts."""

_REFUSED_PREFIXES = ("LD_", "PYTHON")
_REFUSED_NAMES = frozenset({"BASH_ENV", "ENV", "IFS", "SHELLOPTS", "BASHOPTS"})


class NoArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of a command that takes none beside the two that classify it."""

    domain: Name = ""
    name: Name = ""


class RunArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a process is run, whatever it is. Times in seconds, sizes in bytes.

    `max_time`: -1 long-running (remembered and started again), 0 no limit. `max_restart`: how often a run that fails
    within 5 minutes is repeated; None: 0, or 5 with `max_time` -1. `recurring_period`: 0 once, else run at each
    period. `watchdog`: silent for so long is a failure. `umask` is octal. `queue`: one after another of the same name.
    `stats_interval`: how often it is sampled, 0: as the agent's settings say. `loglevels` are processed at all; of
    them `loglevels_db` are kept on the host, `loglevels_ac` sent to the master.
    """

    domain: Name = ""
    name: Name = ""
    workingdir: Path | None = None
    working_dir: Path | UnsetType = UNSET
    env: Annotated[dict[VariableName, Text], Meta(max_length=1000)] = {}
    user: User | None = None
    group: User | None = None
    umask: Mask | None = None
    limits: dict[LimitName, Bytes] = {}
    queue: Name = ""
    max_time: Annotated[int, Meta(ge=LONG_RUNNING, le=TEN_YEARS_S)] = 0
    max_restart: Annotated[int, Meta(ge=0, le=1000)] | None = None
    recurring_period: Seconds = 0
    stop_signal: SignalName = "TERM"
    grace: Annotated[float, Meta(ge=0, le=3600)] = DEFAULT_GRACE_S
    max_memory: Bytes = 0
    watchdog: Seconds = 0
    stats_interval: Annotated[int, Meta(ge=0, le=MAX_STEP_S)] = 0
    loglevels: Expression = "*"
    loglevels_db: Expression | None = None
    loglevels_ac: Expression | None = None

    def __post_init__(self) -> None:
        """Refuse what only the values together tell; msgspec makes a ValueError a ValidationError with its path."""
        for name in ("loglevels", "loglevels_db", "loglevels_ac"):
            if (expression := getattr(self, name)) is not None:
                levels.parse_named(name, expression)
        if self.long_running and self.recurring_period:
            raise ValueError(
                "`max_time` -1 and `recurring_period` exclude each other: it always runs, or at each period"
            )
        if self.working_dir is not UNSET and self.workingdir is not None:
            raise ValueError("`workingdir` and `working_dir` are the same: give one")
        for name in self.env:
            if name in _REFUSED_NAMES or name.startswith(_REFUSED_PREFIXES):
                raise ValueError(f"`env` may not set {name}: it changes which code other programs load")

    @property
    def directory(self) -> str | None:
        """Where it runs, by either of its two names."""
        return self.workingdir if self.working_dir is UNSET else self.working_dir

    @property
    def long_running(self) -> bool:
        """It is started again whenever it ends."""
        return self.max_time == LONG_RUNNING

    @property
    def remembered(self) -> bool:
        """It outlives a restart of the agent: only a kill ends it for good."""
        return self.long_running or self.recurring_period > 0

    @property
    def restarts(self) -> int:
        """How often it is repeated after failing within 5 minutes."""
        if self.max_restart is None:
            return DEFAULT_RESTARTS if self.long_running else 0
        return self.max_restart


class ExecuteArgs(RunArgs, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Arguments of `execute`: one program with its arguments, or with `shell` a line of /bin/sh."""

    cmd: Path | None = None
    args: Annotated[list[Text], Meta(max_length=MAX_ARGUMENTS)] = []
    shell: bool = False

    def __post_init__(self) -> None:
        """Refuse what only the values together tell."""
        if not (self.cmd or self.name):
            raise ValueError("`cmd` is missing: the path or name of the executable")
        RunArgs.__post_init__(self)  # no super(): msgspec makes the class anew

    @property
    def executable(self) -> str:
        """What is run: `cmd`, or `name` as the existing programs have it (PROTOCOLS 2)."""
        return self.cmd or self.name


class KillArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Arguments of `kill`. `signal` None: the task's stop signal, its grace, then KILL, as DELETE of the job does.

    TERM, INT, QUIT, ABRT and KILL begin the same with that signal; any other is sent to the process and nothing more.
    """

    id: TaskId
    signal: SignalName | None = None
    domain: Name = ""
    name: Name = ""


class LimitArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `limit`, which only the master itself sends: another `max_time` for a task's process."""

    id: TaskId
    max_time: Annotated[int, Meta(ge=0, le=TEN_YEARS_S)]


class ProcessArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Arguments of `get_process_stats`: one task that runs."""

    id: TaskId
    domain: Name = ""
    name: Name = ""


ARGUMENTS: Final[Mapping[str, type[Struct]]] = {
    "execute": ExecuteArgs,
    "ping": NoArgs,
    "kill": KillArgs,
    "killall": NoArgs,
    "restart": NoArgs,
    "get_process_stats": ProcessArgs,
    "get_processes_stats": NoArgs,
    "get_aggregated_stats": NoArgs,
    "get_msgs": GetMsgsArgs,
    "del_msgs": FilterArgs,
    "get_cpu_info": NoArgs,
    "get_mem_info": NoArgs,
    "get_disk_info": NoArgs,
    "get_nic_info": NoArgs,
    "get_os_info": NoArgs,
}
"""The commands that a client may ask for. Nothing is ever looked up by attribute (J6)."""

SCRIPT_COMMANDS: Final = frozenset({"execute_js_py", "execute_js_lua"})
"""Commands whose arguments are `scripts.ScriptArgs`."""

CONTROL: Final = frozenset({"kill", "killall", "restart", "ping"})
"""What is never held up: it reaches an agent that has no room for more, before all that waits."""


class SignedCommand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bytes that are signed: everything that decides what an agent does. Times are epoch ms."""

    id: TaskId
    run: Annotated[int, Meta(ge=1)] = 1
    company: str
    gid: GridId
    nid: NodeId
    cmd: str
    args: Raw
    data_sha256: str
    created: int
    not_after: int
    priority: int | UnsetType = UNSET  # said only where there is one: older agents take everything else


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """A command on the wire: the exact text that was signed, its signature (base64), and the data beside it."""

    payload: str
    signature: str
    data: str = ""


def sha256_text(text: str) -> str:
    """The hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


encode_payload = msgspec.json.Encoder().encode
