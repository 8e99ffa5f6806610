"""HTTP to one master: a connection that is kept, tried again when it is lost, and answers as JSON or a stream.

Everything sent here may be sent twice: reads, deletes, and jobs that carry their id.
"""

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deployer.client.answers import AWAY, BAD, asked_to_wait, decode, error_of
from deployer.client.errors import ClientError, Unreachable
from deployer.client.patience import Patience
from deployer.client.requests import SILENCE_S, Address, content, headers_of, with_query

LOST = (OSError, http.client.HTTPException)
_never = threading.Event()


def pause(seconds: float) -> None:
    """Wait."""
    _never.wait(seconds)


class Transport:
    """Requests to one master. `patience_s` is how long it tries again while no master answers."""

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: str | None,
        *,
        timeout_s: float,
        patience_s: float,
        pause: Callable[[float], None] = pause,
    ) -> None:
        self._address = Address.read(url)
        self._tls = _trust(ca_file) if self._address.secure else None
        self._headers = headers_of(token)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._pause = pause
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Drop the connection; the next request makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send, again while the master is away or busy, and decode the JSON of the answer. A text is sent as it is."""
        return self.exchange(method, path, query, body, headers)[1]

    def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPMessage, Any]:
        """The same; the answer's headers too."""
        target = with_query(path, query)

        def send() -> tuple[http.client.HTTPResponse, bytes]:
            response = self._send(method, target, body, headers or {}, self._timeout_s)
            return response, response.read()

        response, answer = self._until_answered(send)
        if response.status >= BAD:
            raise error_of(response.status, answer)
        return response.headers, decode(answer)

    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """Yield what comes; a lost connection ends it with one of LOST, a refusal with ApiError."""
        self.close()  # a stream has a connection of its own

        def send() -> tuple[http.client.HTTPResponse, bytes]:
            response = self._send("GET", path, None, headers, SILENCE_S)
            return response, b"" if response.status == http.client.OK else response.read()

        response, answer = self._until_answered(send)
        if response.status in AWAY:
            raise Unreachable(str(error_of(response.status, answer)))
        if response.status != http.client.OK:
            raise error_of(response.status, answer)
        try:
            while chunk := response.read1(65536):
                yield chunk
        finally:
            self.close()

    def _until_answered(
        self, send: Callable[[], tuple[http.client.HTTPResponse, bytes]]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        patience = Patience(self._patience_s, time.monotonic())
        while True:
            try:
                response, answer = send()
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(
                    f"{self._address.url}: its certificate is not trusted: {error.verify_message}"
                ) from error
            except LOST as error:
                self.close()
                again = patience.after_loss(time.monotonic())
                if again is None:
                    raise Unreachable(f"no master answers at {self._address.url}: {_why(error)}") from error
                wait = again
            else:
                wait = asked_to_wait(response.status, response.headers.get("Retry-After", ""), self._timeout_s)
                if not wait or not patience.extend(wait, response.status):
                    return response, answer
            self._pause(wait)

    def _send(
        self, method: str, target: str, body: object, headers: Mapping[str, str], timeout_s: float
    ) -> http.client.HTTPResponse:
        connection = self._connection or self._connect()
        self._connection = connection
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        data, kind = content(body)
        connection.request(method, self._address.prefix + target, data, {**self._headers, **kind, **headers})
        return connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._address.host, self._address.port)
        return http.client.HTTPSConnection(self._address.host, self._address.port, context=self._tls)


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ClientError(f"cannot read the certificates in {ca_file}: {error.strerror or error}") from error


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return "what listens there speaks no TLS: is its address http://…?"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return "the connection was lost: does what listens there speak TLS (https://…)?"
