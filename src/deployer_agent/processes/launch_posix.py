"""Starts processes without forking the agent, each in a session of its own (DESIGN 11).

Twisted's `Process` has one hook, which we override: `os.posix_spawnp` with the three dup2 actions only. All other
descriptors are close-on-exec from the start, as Python makes them. The working directory is changed and put back around
the call; nothing else runs in between, as there is one thread that does this.
"""

import os
import pwd
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.process import Process
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from deployer.protocol import codes
from deployer_agent.errors import RefusedError
from deployer_agent.processes.environment import child_environment
from deployer_agent.processes.plan import Footprint, Plan

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

_DEFAULT_SIGNALS: Final = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_NOT_EXECUTABLE: Final = (PermissionError, IsADirectoryError)


class SessionProcess(Process):
    """A child with a session of its own; its pid is the session's number."""

    footprint = None

    def _trySpawnInsteadOfFork(  # noqa: N802, PLR0917 (Twisted's name and signature)
        self,
        path: bytes | None,
        uid: int | None,  # noqa: ARG002 (Twisted's signature)
        gid: int | None,  # noqa: ARG002 (as above)
        executable: bytes,
        args: Sequence[bytes],
        environment: Mapping[bytes, bytes],
        kwargs: Mapping[str, Any],
    ) -> bool:
        """Spawn; True tells Twisted that no fork is needed."""
        fdmap: Mapping[int, int] = kwargs["fdmap"]
        with _directory(path):
            self.pid = os.posix_spawnp(
                executable,
                list(args),
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in fdmap.items()],
                setsid=True,
                setsigmask=[],
                setsigdef=_DEFAULT_SIGNALS,
            )
        self.pid_of_footprint = self.pid
        self.status = -1
        return True

    def hold(self, *, held: bool) -> None:
        """Stop, or go on, reading what it prints; the pipe keeps the rest and the child waits."""
        if held:
            Process.pauseProducing(self)
        else:
            Process.resumeProducing(self)

    def feed(self, data: bytes) -> None:
        """Write to its stdin and close it."""
        Process.write(self, data)
        Process.closeStdin(self)

    def abandon(self) -> None:
        """Close our ends of its pipes, although a process that it left behind may still hold the others."""
        for pipe in list(self.pipes.values()):
            pipe.connectionLost(Failure(CONNECTION_DONE))


class PosixLauncher:
    """Starts what a plan says, as the agent's own user."""

    def __init__(self, reactor: Any, *, allow_root: bool, uid: Callable[[], int] = os.geteuid) -> None:
        self._reactor = reactor
        self._refuses = uid() == 0 and not allow_root
        self._null: int | None = None

    def launch(self, plan: Plan, protocol: ProcessProtocol) -> SessionProcess:
        """Start it; RefusedError when that cannot be done."""
        if self._refuses:
            raise RefusedError(
                codes.ROOT_REFUSED, "the agent runs as root and may not run jobs as root: set allow_root to let it"
            )
        _require_directory(plan.directory)
        path = _locate(plan)
        try:
            return self._spawn(plan, path, protocol)
        except OSError as error:
            raise _refused(plan, error) from None

    def _spawn(self, plan: Plan, path: str, protocol: ProcessProtocol) -> SessionProcess:
        start: Any = SessionProcess  # untyped in Twisted
        process: SessionProcess = start(
            self._reactor,
            _bytes(path),
            [_bytes(plan.executable), *map(_bytes, plan.arguments)],
            {
                _bytes(name): _bytes(value)
                for name, value in child_environment(
                    os.environ, plan.environment, {"DEPLOYER_RUN": f"x:{plan.task}:{plan.run}"}
                ).items()
            },
            None if plan.directory is None else _bytes(plan.directory),
            protocol,
            childFDs={0: "w" if plan.data else self._nothing(), 1: "r", 2: "r"},
        )
        process.footprint = Footprint(
            pid=process.pid_of_footprint, start=0, boot="", marker=plan.environment.get("DEPLOYER_RUN", "")
        )
        return process

    def _nothing(self) -> int:
        """`/dev/null`, which ends at once: what a child without data reads."""
        if self._null is None:
            self._null = os.open(os.devnull, os.O_RDONLY)
        return self._null


def seal_descriptors() -> None:
    """Let no child inherit what the agent itself was given beside 0, 1, 2; these exist from here on."""
    null = os.open(os.devnull, os.O_RDWR)
    while null <= 2:  # noqa: PLR2004 (stdin, stdout, stderr)
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"):  # noqa: PTH208 (names are all we need)
        if int(name) > 2:  # noqa: PLR2004 (as above)
            with suppress(OSError):  # the listing's own
                os.set_inheritable(int(name), False)


def user_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's environment, with what the user database knows where a service manager left it out."""
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        return dict(environ)
    known = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell}
    return known | dict(environ)


@contextmanager
def _directory(path: bytes | None) -> Iterator[None]:
    if path is None:
        yield
        return
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        _enter(path)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _enter(path: bytes) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise RefusedError(codes.BAD_WORKDIR, f"cannot work in {os.fsdecode(path)}: {error.strerror}") from None


def _require_directory(directory: str | None) -> None:
    """Tell of a missing directory before the program is looked for relative to it."""
    if directory is not None and not os.path.isdir(_bytes(directory)):  # noqa: PTH112 (bytes, as the kernel has them)
        raise RefusedError(codes.BAD_WORKDIR, f"cannot work in {directory}: there is no such directory")


def _locate(plan: Plan) -> str:
    """Return the path to give to the kernel; names without a slash are looked up in the child's own PATH."""
    if "/" in plan.executable:
        return plan.executable
    found = shutil.which(plan.executable, path=plan.environment.get("PATH"))
    if found is None:
        raise RefusedError(codes.NOT_FOUND, f"{plan.executable} is not an executable on the PATH")
    return found


def _refused(plan: Plan, error: OSError) -> RefusedError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return RefusedError(codes.NOT_FOUND, f"{plan.executable} does not exist, or its interpreter does not")
    if isinstance(error, _NOT_EXECUTABLE) or error.strerror == "Exec format error":
        return RefusedError(codes.NOT_EXECUTABLE, f"{plan.executable} cannot be executed: {error.strerror}")
    return RefusedError(codes.SPAWN_FAILED, f"{plan.executable} could not be started: {error.strerror}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
