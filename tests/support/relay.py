"""A port on loopback, with TLS or without, behind which a unix socket answers."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any


class _Handler(StreamRequestHandler):
    target: Path
    tls: ssl.SSLContext | None

    def handle(self) -> None:
        """Carry bytes until one side ends."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as there:
            here: Any = self.request if self.tls is None else self.tls.wrap_socket(self.request, server_side=True)
            there.connect(str(self.target))
            while True:
                ready = [here] if self.tls and here.pending() else select.select([here, there], [], [])[0]
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        here.close()
                        return
                    (there if one is here else here).sendall(data)


class _Server(ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go away."""


@contextlib.contextmanager
def relay(target: Path, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port, until the end of the block."""
    handler: Any = type("Handler", (_Handler,), {"target": target, "tls": tls})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
