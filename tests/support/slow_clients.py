"""Clients that take their time: a header line, or a byte of a body, a second (RELIABILITY P2)."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable

EACH = 180
"""Connections of one address: below what one may have without a token."""
HEADERS = b"GET /api/v1/user HTTP/1.1\r\nHost: x\r\n"
BODY = b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"


class SlowClients:
    """So many at once, half of them slow in their headers and half in their bodies, from addresses of 127.0.0.0/8."""

    def __init__(self, port: int, count: int) -> None:
        self.answers: Counter[str] = Counter()
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, bytes] = {}
        for number in range(count):
            client = socket.socket()
            client.bind((f"127.0.1.{1 + number // EACH}", 0))
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            kind = HEADERS if number % 2 else BODY
            client.send(kind)
            self._open[client] = b"X-More: 1\r\n" if kind is HEADERS else b" "
            self._selector.register(client, selectors.EVENT_READ)

    def __len__(self) -> int:
        return len(self._open)

    def go_on(self, meanwhile: Callable[[], None]) -> None:
        """Send a little a second and call `meanwhile` as often as there is time, until all have been closed."""
        due = time.monotonic()
        while self._open:
            if time.monotonic() >= due:
                due += 1
                self._send()
            self._read()
            meanwhile()

    def _send(self) -> None:
        for client, more in list(self._open.items()):
            try:
                client.send(more)
            except OSError:
                self._close(client, b"")

    def _read(self) -> None:
        for key, _ in self._selector.select(0):
            client: socket.socket = key.fileobj  # type: ignore[assignment]  # what was registered
            try:
                self._close(client, client.recv(4096))
            except OSError:
                self._close(client, b"")

    def _close(self, client: socket.socket, answer: bytes) -> None:
        self.answers[answer[9:12].decode()] += 1
        self._selector.unregister(client)
        del self._open[client]
        client.close()
