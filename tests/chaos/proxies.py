"""TCP proxies that delay, cut, or lose replies; each has a second port, with an echo behind it, as its proof."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final, Literal

Mode = Literal["pass", "slow", "cut", "deaf", "lapse"]
Address = tuple[str, int]
SLOW_S: Final = 1.0
PROBE_S: Final = 0.5
ACCEPT: Final = b"/accept HTTP/1.1\r\n"
CHUNK: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)
_tick = threading.Event()


class Proxy:
    """One listening address and where it leads.

    `slow`: each piece waits a second. `cut`: every connection is reset. `deaf`: what is sent arrives, and the answer is
    lost with a reset. `lapse`: all passes but the agent's word that it has commands.
    """

    def __init__(self, listen: Address, target: Address) -> None:
        self.mode: Mode = "pass"
        self._open: set[socket.socket] = set()
        self._servers: list[socket.socket] = []
        echo = self._listen(("127.0.0.1", 0), _echo)
        self._probe = self._listen(("127.0.0.1", 0), lambda connection: self._serve(connection, echo))
        self._listen(listen, lambda connection: self._serve(connection, target))

    def turn(self, mode: Mode) -> None:
        """Do this from now on, to what is open too."""
        self.mode = mode
        if mode == "cut":
            for connection in list(self._open):
                _reset(connection)

    def passes(self, word: bytes = b"x") -> bool:
        """Whether a word comes back from the echo behind it in time."""
        with contextlib.suppress(OSError), socket.create_connection(self._probe, PROBE_S) as connection:
            connection.sendall(word)
            return connection.recv(len(word)) == word
        return False

    def close(self) -> None:
        """Listen no more, and end what is open."""
        self.turn("cut")
        for server in self._servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()

    def _listen(self, at: Address, serve: Callable[[socket.socket], None]) -> Address:
        server = socket.create_server(at)
        self._servers.append(server)
        _spawn(lambda: _accept(server, serve))
        address: Address = server.getsockname()[:2]
        return address

    def _serve(self, connection: socket.socket, target: Address) -> None:
        try:
            beyond = socket.create_connection(target, 5.0)
        except OSError:
            return _reset(connection)
        beyond.settimeout(None)
        both = {connection, beyond}
        self._open |= both
        _spawn(lambda: self._pump(beyond, connection, answers=True))
        self._pump(connection, beyond, answers=False)
        self._open -= both
        return None

    def _pump(self, source: socket.socket, sink: socket.socket, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self.mode == "slow":
                    _tick.wait(SLOW_S)
                if self._loses(data, answers=answers):
                    _reset(source)
                    _reset(sink)
                    return
                sink.sendall(data)
        for connection in (source, sink):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if not answers:
            source.close()
            sink.close()

    def _loses(self, data: bytes, *, answers: bool) -> bool:
        return self.mode == "cut" or (self.mode == "deaf" and answers) or (self.mode == "lapse" and ACCEPT in data)


def _spawn(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def _accept(server: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection = server.accept()[0]
            _spawn(lambda connection=connection: serve(connection))  # type: ignore[misc]


def _echo(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while data := connection.recv(CHUNK):
            connection.sendall(data)


def _reset(connection: socket.socket) -> None:
    """End it with a reset; who waits for it in another thread is woken by the shutdown."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
    connection.close()
