"""A master that answers from a script: a real loopback HTTP server for clients to meet."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is sent; `lost` closes the connection before the announced end, `hold` only when it is set."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    hold: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


def answer(value: object, status: int = 200, **headers: str) -> Answer:
    """JSON."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status=status, body=json.dumps(value).encode(), headers=named)


def refusal(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> Answer:
    """A problem+json."""
    problem = {"type": f"/api/docs/errors#{code}", "title": code, "status": status, "detail": detail, "request_id": "r"}
    body = json.dumps(problem | ({"errors": errors} if errors else {})).encode()
    return Answer(status=status, body=body, headers={"Content-Type": "application/problem+json"})


def stream(*events: str, lost: bool = False, hold: threading.Event | None = None) -> Answer:
    """Server-Sent Events."""
    kind = {"Content-Type": "text/event-stream"}
    return Answer(body="".join(events).encode(), headers=kind, lost=lost, hold=hold)


def message(event_id: str, level: int, data: str) -> str:
    """One message as the master sends it."""
    value = {"agent": "1:1", "jobdomain": "", "jobname": "", "epoch": 1, "at": "", "level": level, "id": 1}
    return f"id: {event_id}\ndata: {json.dumps(value | {'data': data})}\n\n"


def end(job: dict[str, Any]) -> str:
    """The last event."""
    return f": ping\n\nevent: end\ndata: {json.dumps(job)}\n\n"


class ScriptedMaster:
    """Answers of each `METHOD path` in turn; the last one is kept. A callable is asked with the request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.otherwise = refusal(404, "not_found", "There is nothing here.")
        """What is answered to all else."""
        self._script: dict[str, list[Answer | Callable[[Asked], Answer]]] = {}

    def on(self, what: str, *answers: Answer | Callable[[Asked], Answer]) -> None:
        """Set what is answered to `METHOD /path` (without query)."""
        self._script[what] = list(answers)

    def reply(self, asked: Asked) -> Answer:
        """Take the next answer."""
        self.asked.append(asked)
        answers = self._script.get(f"{asked.method} {asked.path.partition('?')[0]}")
        if not answers:
            return self.otherwise
        chosen = answers.pop(0) if len(answers) > 1 else answers[0]
        return chosen(asked) if callable(chosen) else chosen

    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    master: ScriptedMaster

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Say nothing."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, dict(self.headers), json.loads(body) if body else None)
        reply = self.master.reply(asked)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body) + (reply.lost or reply.hold is not None)))
        self.end_headers()
        self.wfile.write(reply.body)
        if reply.hold is not None:
            reply.hold.wait(20)
        self.close_connection = self.close_connection or reply.lost or reply.hold is not None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go away, or not trust us."""


@contextmanager
def scripted_master(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedMaster]:
    """Serve on a free port until the end of the block; behind TLS where a context is given."""
    handler: Any = type("Handler", (_Handler,), {})  # its own class for its own master
    server = _Server(("127.0.0.1", 0), handler)
    if tls is None:
        handler.master = ScriptedMaster(f"http://127.0.0.1:{server.server_port}")
    else:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        handler.master = ScriptedMaster(f"https://localhost:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield handler.master
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def nobody() -> Iterator[str]:
    """An address where nothing listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{server.server_port}"
    server.server_close()
    yield url
