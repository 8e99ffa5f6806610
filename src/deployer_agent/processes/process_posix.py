"""One started process with a session of its own, by Twisted's one hook for it (DESIGN 11).

`os.posix_spawnp` gets the dup2 actions only: all other descriptors are close-on-exec from the start, as Python makes
them. The working directory is changed and put back around the call; nothing else runs in between, as there is one
thread that does this.
"""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from twisted.internet.main import CONNECTION_DONE
from twisted.internet.process import Process
from twisted.python.failure import Failure

from deployer.protocol import codes
from deployer_agent.errors import RefusedError
from deployer_agent.processes import proc_posix
from deployer_agent.processes import wrapper_posix as wrapper
from deployer_agent.processes.plan import Footprint

assert sys.platform != "win32"  # noqa: S101 (tells the type checker to leave this module out there)

STATUS: Final = 3
"""The key of the pipe on which the stages in front of a job tell why they did not start it."""

_PLACES: Final = {2: 3, STATUS: 2}
_FREE: Final = 10
_MOST_STATUS: Final = 8192
_DEFAULT_SIGNALS: Final = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class SessionProcess(Process):
    """A child with a session of its own; its pid is the session's number.

    `refusal` is set before `processEnded` when the stages in front of the job failed: nothing of the job was run.
    `memory_limit`: bytes that all of it together may have and that no cgroup sees to; 0 for none.
    """

    refusal: RefusedError | None = None
    memory_limit = 0
    program = ""
    footprint: Footprint
    number = 0
    start = 0
    _said = b""
    _proc = proc_posix.Proc()

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
        with _directory(path), _placed(kwargs["fdmap"]) as actions:
            self.pid = self.number = os.posix_spawnp(
                executable,
                list(args),
                environment,
                file_actions=actions,
                setsid=True,
                setsigmask=[],
                setsigdef=_DEFAULT_SIGNALS,
            )
        self.status = -1
        stat = self._proc.stat(self.number)  # now, as Twisted may reap it before it returns to us
        self.start = stat.start if stat else 0
        return True

    def childDataReceived(self, name: int, data: bytes) -> None:
        """Keep for ourselves what the stages say."""
        if name == STATUS:
            self._said = (self._said + data)[:_MOST_STATUS]
        else:
            Process.childDataReceived(self, name, data)

    def childConnectionLost(self, childFD: int, reason: Failure) -> None:  # noqa: N803 (Twisted's name)
        """Keep for ourselves that the stages have ended."""
        if childFD == STATUS:
            self.refusal = wrapper.refusal(self._said.decode("utf-8", "replace"), self.program)
            os.close(self.pipes.pop(childFD).fileno())
            finish: Any = self.maybeCallProcessEnded  # untyped in Twisted
            finish()
        else:
            Process.childConnectionLost(self, childFD, reason)

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


@contextmanager
def _placed(fdmap: Mapping[int, int]) -> Iterator[list[tuple[int, int, int]]]:
    """Give the actions that put descriptors in place; ours that stand where others go are copied out of the way."""
    places = {_PLACES.get(key, key) if STATUS in fdmap else key: ours for key, ours in fdmap.items()}
    copies = {ours: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, _FREE) for ours in places.values() if ours in places}
    try:
        yield [(os.POSIX_SPAWN_DUP2, copies.get(ours, ours), place) for place, ours in places.items()]
    finally:
        for copy in copies.values():
            os.close(copy)


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
