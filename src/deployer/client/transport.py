"""HTTP to one master: a connection that is kept, tried again when it is lost, and answers as JSON or a stream.

Everything sent here may be sent twice: reads, deletes, and jobs that carry their id.
"""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from deployer.client.answers import AWAY, BAD, asked_to_wait, decode, error_of
from deployer.client.errors import ClientError, Unreachable
from deployer.client.requests import API, SILENCE_S, with_query
from deployer.kit.backoff import Backoff

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
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"{url!r} is not the address of a master: http://HOST:PORT or https://HOST:PORT")
        self._url = url
        self._host = parts.hostname
        self._port = parts.port
        self._prefix = parts.path.rstrip("/").removesuffix(API).rstrip("/")
        self._tls = _trust(ca_file) if parts.scheme == "https" else None
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "deployer", "Accept": "application/json"}
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
        target = with_query(path, query)

        def send() -> tuple[http.client.HTTPResponse, bytes]:
            response = self._send(method, target, body, headers or {}, self._timeout_s)
            return response, response.read()

        response, answer = self._until_answered(send)
        if response.status >= BAD:
            raise error_of(response.status, answer)
        return decode(answer)

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
        backoff = Backoff(0.1, 2.0)
        end = time.monotonic() + self._patience_s
        while True:
            try:
                response, answer = send()
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(f"{self._url}: its certificate is not trusted: {error.verify_message}") from error
            except LOST as error:
                self.close()
                wait = 0.05 + backoff.next_delay()
                if time.monotonic() + wait > end:
                    raise Unreachable(f"no master answers at {self._url}: {_why(error)}") from error
            else:
                wait = asked_to_wait(response.status, response.headers.get("Retry-After", ""), self._timeout_s)
                if not wait:
                    return response, answer
                end += wait
            self._pause(wait)

    def _send(
        self, method: str, target: str, body: object, headers: Mapping[str, str], timeout_s: float
    ) -> http.client.HTTPResponse:
        connection = self._connection or self._connect()
        self._connection = connection
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        sent = {**self._headers, **headers}
        data = None
        if isinstance(body, str):
            sent["Content-Type"] = "text/plain; charset=utf-8"
            data = body.encode()
        elif body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        connection.request(method, self._prefix + target, data, sent)
        return connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port)
        return http.client.HTTPSConnection(self._host, self._port, context=self._tls)


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
