"""The programs of the installation: each can be started, killed, stopped, and asked whether it responds."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from deployer.kit.failpoints import CRASHED, LOG_VARIABLE, VARIABLE
from support.programs import Program
from support.wait import until

RESPONSE_S: Final = 0.7
START_S: Final = 60.0


def now_ms() -> int:
    """The wall clock of this host, which all parts share."""
    return time.time_ns() // 1_000_000


class Part:
    """One program: `kind` is master, agent, redis or haproxy; `deaths` are its ends by force, in epoch ms."""

    def __init__(self, kind: str, name: str, program: Program, responds: Callable[[], bool], source: Path) -> None:
        self.kind = kind
        self.name = name
        self.program = program
        self.responds = responds
        self.deaths: list[int] = []
        self.busy = threading.Lock()
        self._environment = {"PYTHONPATH": f"{source / 'src'}:{source}"}

    def start(self, failpoints: str = "", note: Path | None = None) -> None:
        """Start it, perhaps with failpoints; `note` gets the names of those that act."""
        armed = {VARIABLE: failpoints, LOG_VARIABLE: str(note)} if failpoints else {}
        self.program.start(**self._environment, **armed)

    def wait(self) -> None:
        """Wait until it responds; AssertionError with the end of its log when it does not."""
        until(self._is_up, what=f"{self.name} to respond", deadline_s=START_S)

    def kill(self) -> None:
        """End it at once."""
        self.deaths.append(now_ms())
        self.program.kill()

    def crashed(self) -> bool:
        """Whether it has ended at a failpoint; AssertionError when it has ended otherwise."""
        status = self.program.process.poll() if self.program.process else None
        if status is None:
            return False
        assert status == CRASHED, f"{self.name} ended with {status}: {self.program.text()[-3000:]}"
        self.deaths.append(now_ms())
        return True

    def stop(self) -> None:
        """Let it stand still."""
        self.program.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]

    def go_on(self) -> None:
        """End that."""
        self.program.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]

    def _is_up(self) -> bool:
        assert self.program.process is not None
        assert self.program.process.poll() is None, f"{self.name} has ended: {self.program.text()[-3000:]}"
        return self.responds()


def answers(address: tuple[str, int], question: bytes) -> Callable[[], bool]:
    """Whether anything answers a question at an address in time."""

    def ask() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(address, RESPONSE_S) as connection:
            connection.sendall(question)
            return bool(connection.recv(1))
        return False

    return ask


def is_running(program: Program) -> Callable[[], bool]:
    """Whether a program that nobody can ask runs and does not stand still."""

    def look() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(program.pid).status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
        return False

    return look
