"""One blocking connection to a Redis: made when it is needed, made again when it was lost."""

import math
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import hiredis

from deployer.client.errors import ClientError, Unreachable
from deployer.client.patience import Patience
from deployer.client.transport import pause

PORT: Final = 6379
SPARE_S: Final = 10.0
"""So much longer than Redis was asked to wait is waited for its answer."""

Word = str | bytes | int | float


class RedisError(ClientError):
    """Redis has refused a command."""


@dataclass(frozen=True, slots=True)
class Where:
    """A Redis, and how to log in; `name` is for messages and has no password."""

    name: str
    path: str = ""
    host: str = ""
    port: int = PORT
    secure: bool = False
    login: tuple[str, ...] = field(default=(), repr=False)
    database: int = 0

    @classmethod
    def read(cls, address: str | Path) -> "Where":
        """From `redis://`, `rediss://`, `unix:`, the path of a socket or of a master's data; ClientError."""
        if isinstance(address, Path) or "/" in address[:1]:
            return cls._at(Path(address))
        if address.startswith("unix:"):
            return cls._at(Path(address.removeprefix("unix:").removeprefix("//")))
        try:
            parts = urlsplit(address)
            port = parts.port or PORT
        except ValueError:
            raise ClientError("the address of the Redis has no usable port") from None
        number = parts.path.strip("/")
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname or not (number.isdecimal() or not number):
            raise ClientError("a Redis is at redis://HOST:PORT/NUMBER, rediss://HOST:PORT/NUMBER or unix:/PATH")
        login = (unquote(parts.username or ""), unquote(parts.password or ""))
        return cls(
            f"{parts.hostname}:{port}",
            host=parts.hostname,
            port=port,
            secure=parts.scheme == "rediss",
            login=tuple(word for word in login if word) if login[1] else (),
            database=int(number or 0),
        )

    @classmethod
    def _at(cls, path: Path) -> "Where":
        if path.is_dir():
            path = path / "redis" / "redis.sock"
            if not path.exists():
                raise Unreachable(f"there is no {path}: does the master run there, with a Redis of its own?")
        return cls(str(path), path=str(path))


class Connection:
    """Asks again what was lost on the way, for `patience_s`: what is asked here may be done twice."""

    def __init__(
        self,
        where: Where,
        *,
        ca_file: str | None = None,
        timeout_s: float = 10.0,
        patience_s: float = 5.0,
        pause: Callable[[float], None] = pause,
    ) -> None:
        self._where = where
        self._tls = _trust(ca_file) if where.secure else None
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._pause = pause
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()
        self.was_there = False
        """Whether the Redis has ever answered."""

    def close(self) -> None:
        """Drop the connection; the next command makes another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, *words: Word, wait_s: float = 0.0, most_s: float = math.inf) -> Any:
        """One command, which Redis may take `wait_s` to answer; RedisError when it refuses, Unreachable.

        `most_s`: tried again for no longer than that.
        """
        return self.ask_all([words], wait_s=wait_s, most_s=most_s)[0]

    def ask_all(self, commands: Sequence[Sequence[Word]], wait_s: float = 0.0, most_s: float = math.inf) -> list[Any]:
        """Several commands at once, and all their answers."""
        sent = b"".join(map(_packed, commands))
        patience = Patience(min(self._patience_s, most_s), time.monotonic())
        while True:
            try:
                return self._exchange(sent, len(commands), wait_s)
            except ssl.SSLCertVerificationError as error:
                self.close()
                why = error.verify_message
                raise Unreachable(f"the Redis at {self._where.name}: its certificate is not trusted: {why}") from error
            except (OSError, hiredis.ProtocolError) as error:
                self.close()
                again = patience.after_loss(time.monotonic())
                if again is None:
                    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
                    raise Unreachable(f"no Redis answers at {self._where.name}: {why}") from error
                self._pause(again)
            except BaseException:
                self.close()  # an answer may still be on its way
                raise

    def _exchange(self, sent: bytes, count: int, wait_s: float) -> list[Any]:
        connected = self._socket or self._connect()
        connected.settimeout(self._timeout_s + wait_s + (SPARE_S if wait_s else 0.0))
        connected.sendall(sent)
        return [self._answer(connected) for _ in range(count)]

    def _connect(self) -> socket.socket:
        where = self._where
        if where.path:
            made = self._socket = socket.socket(socket.AF_UNIX)
            made.settimeout(self._timeout_s)
            made.connect(where.path)
        else:
            made = self._socket = socket.create_connection((where.host, where.port), self._timeout_s)
            if self._tls is not None:
                made = self._socket = self._tls.wrap_socket(made, server_hostname=where.host)
        self._reader = hiredis.Reader()
        greeting = [("AUTH", *where.login)] if where.login else []
        greeting += [("SELECT", str(where.database))] if where.database else []
        for words in greeting:
            made.sendall(_packed(words))
            self._answer(made)
        self.was_there = True
        return made

    def _answer(self, connected: socket.socket) -> Any:
        while (answer := self._reader.gets()) is False:
            data = connected.recv(65536)
            if not data:
                raise ConnectionResetError("the connection was lost")
            self._reader.feed(data)
        if isinstance(answer, hiredis.ReplyError):
            raise RedisError(f"the Redis at {self._where.name} refuses: {answer}")
        return answer


def _packed(words: Sequence[Word]) -> bytes:
    given: Any = tuple(words)  # its declaration knows only tuples of one
    packed: bytes = hiredis.pack_command(given)
    return packed


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ClientError(f"cannot read the certificates in {ca_file}: {error.strerror or error}") from error
