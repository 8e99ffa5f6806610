"""The real redis-server for tests: one process a session, emptied before each test."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.stores.embedded import find_server
from support.wait import until


@contextmanager
def running_redis() -> Iterator[Path]:
    """A server set up as the embedded one is, except that it does not wait for the disk; its socket."""
    directory = Path(tempfile.mkdtemp(prefix="dpl"))
    socket = directory / "redis.sock"
    configuration = f'port 0\nunixsocket "{socket}"\ndir "{directory}"\nappendonly yes\nappendfsync no\nsave ""\n'
    server = subprocess.Popen(
        [find_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert server.stdin is not None
        server.stdin.write(configuration.encode())
        server.stdin.close()
        until(socket.exists, what="the socket of redis-server")
        yield socket
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(directory, ignore_errors=True)
