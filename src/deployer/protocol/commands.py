"""What the master asks of one agent: the arguments of each command and the signed form that travels.

The master signs, at submit, the exact bytes of a `SignedCommand` (DESIGN 5). They travel with the signature and the
data as an `Envelope`; nothing between master and agent can make an agent run anything else.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from deployer.protocol.ids import GridId, Name, NodeId, TaskId

MAX_DATA_BYTES: Final = 512 * 1024
MAX_ARGUMENTS: Final = 1000
TEN_YEARS_S: Final = 10 * 366 * 86400
DEFAULT_GRACE_S: Final = 5.0

_NO_NUL = "^[^\\x00\\ud800-\\udfff]*\\Z"
Text = Annotated[str, Meta(pattern=_NO_NUL, max_length=131_072)]
Path = Annotated[str, Meta(pattern=_NO_NUL, min_length=1, max_length=4096)]
VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
Seconds = Annotated[int, Meta(ge=0, le=TEN_YEARS_S)]

_REFUSED_PREFIXES = ("LD_", "PYTHON")
_REFUSED_NAMES = frozenset({"BASH_ENV", "ENV", "IFS", "SHELLOPTS", "BASHOPTS"})


class NoArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of a command that takes none beside the two that classify it."""

    domain: Name = ""
    name: Name = ""


class ExecuteArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Arguments of `execute` (DESIGN 4)."""

    cmd: Path | None = None
    args: Annotated[list[Text], Meta(max_length=MAX_ARGUMENTS)] = []
    domain: Name = ""
    name: Name = ""
    workingdir: Path | None = None
    working_dir: Path | UnsetType = UNSET
    env: Annotated[dict[VariableName, Text], Meta(max_length=1000)] = {}
    max_time: Seconds = 0
    grace: Annotated[float, Meta(ge=0, le=3600)] = DEFAULT_GRACE_S

    def __post_init__(self) -> None:
        """Refuse what only the values together tell; msgspec makes a ValueError a ValidationError with its path."""
        if not (self.cmd or self.name):
            raise ValueError("`cmd` is missing: the path or name of the executable")
        if self.working_dir is not UNSET and self.workingdir is not None:
            raise ValueError("`workingdir` and `working_dir` are the same: give one")
        for name in self.env:
            if name in _REFUSED_NAMES or name.startswith(_REFUSED_PREFIXES):
                raise ValueError(f"`env` may not set {name}: it changes which code other programs load")

    @property
    def executable(self) -> str:
        """What is run: `cmd`, or `name` as the existing programs have it (PROTOCOLS 2)."""
        return self.cmd or self.name

    @property
    def directory(self) -> str | None:
        """Where it runs, by either of its two names."""
        return self.workingdir if self.working_dir is UNSET else self.working_dir


ARGUMENTS: Final[Mapping[str, type[Struct]]] = {"execute": ExecuteArgs, "ping": NoArgs}
"""The commands that a client may ask for. Nothing is ever looked up by attribute (J6)."""


class KillArgs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of the master's own kill of one task."""

    task: TaskId


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


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """A command on the wire: the exact text that was signed, its signature (base64), and the data beside it."""

    payload: str
    signature: str
    data: str = ""


def sha256_text(text: str) -> str:
    """The hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


encode_payload = msgspec.json.Encoder().encode
