"""What the host's administrator lets the master do here, whatever the master says: read once, when the agent starts.

docs/agent.md has the meaning of each setting, etc/policy.toml an example. Deciding is pure.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from deployer.kit.files import TooOpen, read_ours
from deployer.protocol import codes
from deployer_agent.errors import RefusedError, StartError

DEFAULT_FILE: Final = "/etc/deployer/policy.toml"
DEFAULT_PIDS: Final = 4096
"""How many processes a job may have at once where there are cgroups and the policy does not say."""

ALWAYS: Final = frozenset({"kill", "killall", "limit", "ping"})
"""Commands that no policy forbids: what runs can be ended, now or later, and the agent answers."""

HARMLESS: Final = ("LANG", "LC_*", "TZ", "TERM")
"""Variables that jobs may set where the policy says which programs or commands there are, and nothing of variables."""

_UNSTEADY: Final = ("/proc/", "/dev/fd/")
_BUILT_IN: Final[Mapping[str, int]] = {"core": 0}

LimitName = Literal["as", "core", "cpu", "data", "fsize", "memlock", "memory", "nofile", "nproc", "pids", "stack"]
_LIMIT_NAMES: Final = frozenset(get_args(LimitName))
Limit = Annotated[int, Meta(ge=0, le=2**62)]


class Decision(Struct, frozen=True, kw_only=True):
    """As whom a job runs (None: the agent's own) and all its limits."""

    user: str | None
    group: str | None
    limits: Mapping[str, int]


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's rules. Lists hold names, `"*"` stands for all; `limits` are the default and the most of each."""

    commands: tuple[str, ...] = ("*",)
    executables: tuple[str, ...] = ("*",)
    environment: tuple[str, ...] | None = None
    run_as: Annotated[str, Meta(min_length=1)] | None = None
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    shell: bool = True
    terminals: bool = True
    allow_root: bool = False
    max_jobs: Annotated[int, Meta(ge=1)] | None = None
    cgroups: bool | Literal["auto"] = "auto"
    limits: Mapping[LimitName, Limit] = {}

    @classmethod
    def load(cls, path: Path | None, *, allow_root: bool = False) -> "Policy":
        """Read the file (None: the defaults); StartError when it does not fit, or others could change it."""
        policy = cls() if path is None else _read(path)
        return msgspec.structs.replace(policy, allow_root=policy.allow_root or allow_root)

    def require_command(self, cmd: str) -> None:
        """RefusedError NOT_ALLOWED unless this command may be given here."""
        if cmd not in ALWAYS and not _names(self.commands, cmd):
            raise _not_allowed(f"the command {cmd}")

    def require_shell(self) -> None:
        """RefusedError NOT_ALLOWED unless jobs may ask for a shell."""
        if not self.shell:
            raise _not_allowed("a shell")

    def require_terminal(self) -> None:
        """RefusedError NOT_ALLOWED unless terminals may be opened here."""
        if not self.terminals:
            raise _not_allowed("a terminal")

    def require_executable(self, path: str) -> str:
        """Return what is to be executed for a program's full path; RefusedError NOT_ALLOWED unless it may be.

        The path as it was given or the one behind its links must fit, and it may not go up. Where only the latter fits
        it is the one to execute, as links can be changed meanwhile; those in /proc mean something else to each process.
        """
        if "*" in self.executables:
            return path
        behind = os.path.realpath(path)
        if ".." not in PurePath(path).parts and not any(one.startswith(_UNSTEADY) for one in (path, behind)):
            for candidate in (path, behind):
                if any(fnmatchcase(candidate, glob) for glob in self.executables):
                    return candidate
        raise _not_allowed(f"the program {path}")

    def require_environment(self, names: Iterable[str]) -> None:
        """RefusedError NOT_ALLOWED unless jobs may set all these variables."""
        limited = "*" not in self.executables or "*" not in self.commands
        globs = self.environment if self.environment is not None else HARMLESS if limited else ("*",)
        for name in names:
            if not any(fnmatchcase(name, glob) for glob in globs):
                raise _not_allowed(f"the variable {name}")

    def judge(
        self,
        *,
        user: str | None,
        group: str | None,
        limits: Mapping[str, int],
        agent_uid: int,
        uid_of: Callable[[str], int],
    ) -> Decision:
        """Decide as whom and with which limits; RefusedError NOT_ALLOWED or ROOT_REFUSED, or what `uid_of` raises."""
        listed = user in {None, self.run_as} or _names(self.users, str(user))
        if not (listed or (self.run_as is None and uid_of(str(user)) == agent_uid)):
            raise _not_allowed(f"jobs as the user {user}")
        if group is not None and not _names(self.groups, group):
            raise _not_allowed(f"jobs in the group {group}")
        chosen = self.run_as if user is None else user
        if not self.allow_root and (agent_uid if chosen is None else uid_of(chosen)) == 0:
            raise RefusedError(
                codes.ROOT_REFUSED,
                "the agent runs as root and may not run jobs as root: set run_as, or allow_root, in its policy file",
            )
        return Decision(user=chosen, group=group, limits=self._limits(limits))

    def _limits(self, asked: Mapping[str, int]) -> dict[str, int]:
        defaults: dict[str, int] = {**_BUILT_IN, **{str(name): value for name, value in self.limits.items()}}
        most = {"pids": DEFAULT_PIDS, **defaults}
        for name, value in asked.items():
            if name not in _LIMIT_NAMES:
                raise RefusedError(codes.BAD_ARGUMENTS, f"there is no limit {name!r}")
            if not 0 <= value <= most.get(name, value):
                raise _not_allowed(f"the limit {name} = {value}: at most {most.get(name)}")
        return {**defaults, **asked}


def _names(allowed: tuple[str, ...], name: str) -> bool:
    return "*" in allowed or name in allowed


def _not_allowed(what: str) -> RefusedError:
    return RefusedError(codes.NOT_ALLOWED, f"the policy of this host does not allow {what}")


def _read(path: Path) -> Policy:
    try:
        return msgspec.toml.decode(read_ours(path), type=Policy)
    except TooOpen as error:
        raise StartError(f"the policy file {error}") from None
    except OSError as error:
        raise StartError(f"the policy file {path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"the policy file {path} is wrong: {error}") from None
