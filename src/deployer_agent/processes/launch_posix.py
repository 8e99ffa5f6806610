"""Starting a process without forking the agent (DESIGN 11, PERFORMANCE 1).

Neither of Twisted's ways gives the child a session of its own, and both walk every open descriptor. Here Twisted's one
hook is overridden: `posix_spawnp` with a new session, default signals and the pipes only; every other descriptor is
close-on-exec from the start (PEP 446).
"""

import contextlib
import errno
import os
import pwd
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct
from twisted.internet import process
from twisted.internet.protocol import ProcessProtocol

from deployer.protocol import codes
from deployer_agent.errors import RefusedError

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to skip this module there)

_INHERITED: Final = re.compile(r"(PATH|TZ|LANG|LC_[A-Z]+|TERM)\Z")
_TEMPLATES: Final = re.compile(r"\$(agentroot|root|tmp)(?![A-Za-z0-9_])")
LAST_STANDARD: Final = 2
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RESET: Final = [number for number in signal.valid_signals() if number not in {signal.SIGKILL, signal.SIGSTOP}]
_SPAWN_CODES: Final = {
    errno.ENOENT: codes.NOT_FOUND,
    errno.EACCES: codes.NOT_EXECUTABLE,
    errno.ENOEXEC: codes.NOT_EXECUTABLE,
}


class Program(Struct, frozen=True, kw_only=True):
    """What to start and as what. `directory` None is the agent's own."""

    executable: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str | None


class Places(Struct, frozen=True):
    """What the three template names stand for, in `cmd` and `workingdir` only."""

    agentroot: str
    root: str = "/"
    tmp: str = "/tmp"  # noqa: S108 (the name's meaning, seed 001)

    def fill(self, text: str) -> str:
        """Replace each name once, in one pass."""
        return _TEMPLATES.sub(lambda match: str(getattr(self, match[1])), text)


class SpawnedProcess(process.Process):
    """A child in a session of its own, made by posix_spawn."""

    def _trySpawnInsteadOfFork(  # noqa: N802, PLR0917 (Twisted's hook; a test pins its form)
        self, path: Any, uid: Any, gid: Any, executable: Any, args: Any, environment: Any, kwargs: Any
    ) -> bool:
        if uid is not None or gid is not None:
            raise RefusedError(codes.SPAWN_FAILED, "another user is not possible here yet")
        actions = [(os.POSIX_SPAWN_DUP2, parent, child) for child, parent in sorted(kwargs["fdmap"].items())]
        with _Inside(path):
            self.pid = os.posix_spawnp(
                executable, args, environment, file_actions=actions, setsid=True, setsigmask=[], setsigdef=_RESET
            )
        self.spawned = self.pid  # Twisted forgets the pid when it reaps, which may be before its constructor returns
        self.status = -1
        return True


class _Inside:
    """The working directory, changed and put back: posix_spawn has no way to set it."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._back = -1

    def __enter__(self) -> None:
        if self._path is None:
            return
        self._back = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.chdir(self._path)
        except OSError as error:
            os.close(self._back)
            raise RefusedError(codes.BAD_WORKDIR, f"cannot work in {self._path!r}: {error.strerror}") from None

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            os.fchdir(self._back)
            os.close(self._back)


def launch(reactor: Any, protocol: ProcessProtocol, program: Program) -> int:
    """Start a program; its pid. RefusedError with a stable code when it cannot be started."""
    try:
        made = cast("Any", SpawnedProcess)(
            reactor,
            program.executable,
            [program.executable, *program.arguments],
            dict(program.environment),
            program.directory,
            protocol,
        )
    except OSError as error:
        code = _SPAWN_CODES.get(error.errno or 0, codes.SPAWN_FAILED)
        raise RefusedError(code, f"cannot start {program.executable!r}: {error.strerror}") from None
    return int(made.spawned)


def seal_descriptors() -> None:
    """Let no child inherit what whoever started the agent left open; what Python opens is close-on-exec anyway."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (names, not paths)
        if int(name) > LAST_STANDARD:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
                os.set_inheritable(int(name), False)


def base_environment(own: Mapping[str, str]) -> dict[str, str]:
    """What every job sees: an allow-list of ours, and who it runs as (J11)."""
    user = pwd.getpwuid(os.geteuid())
    kept = {name: value for name, value in own.items() if _INHERITED.match(name)}
    person = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell or "/bin/sh"}
    return {"PATH": _DEFAULT_PATH, **kept, **person}


def refuse_root(*, allowed: bool) -> None:
    """An agent that is root starts jobs as root only where its operator allowed it."""
    if os.geteuid() == 0 and not allowed:
        raise RefusedError(codes.ROOT_REFUSED, "this agent runs as root and may not run jobs as root: --allow-root")
