"""The real influxd for tests: one process a session, a database for each test."""

import http.client
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from support.wait import until

CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{port}"
auth-enabled = {auth}
[monitor]
store-enabled = false
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Influx:
    """One server."""

    def __init__(self, folder: Path, *, auth: bool = False) -> None:
        self.port, rpc = free_ports(2)
        self._file = folder / "influxdb.conf"
        self._file.write_text(CONFIGURATION.format(folder=folder, port=self.port, rpc=rpc, auth=str(auth).lower()))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and wait until it answers."""
        command = ["influxd", "-config", str(self._file)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, what="influxd", deadline_s=60)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return self._request("GET", "/ping", b"")[0] == 204
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, query: str) -> bytes:
        """One command of InfluxQL."""
        status, content = self._request("POST", "/query", urlencode({"q": query}).encode())
        assert status == 200, content
        return content

    def _request(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def running_influx() -> Iterator[Influx]:
    """A server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="dpl"))
    server = Influx(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
