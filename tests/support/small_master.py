"""A master of one agent that speaks wire.py on a real loopback socket, and misbehaves on demand."""

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from deployer.protocol.commands import Envelope, SignedCommand, sha256_text
from deployer.protocol.facts import HostFacts
from deployer.protocol.processes import ProcessList
from deployer.protocol.results import Result
from deployer.protocol.signing import public_text, seal
from deployer.protocol.stats import StatsBatch
from deployer.protocol.wire import MEDIA_TYPE, AcceptRequest, LogBatch, ResultBatch

FAR = 4_000_000_000_000


class _Site(Site):
    """Knows its connections."""

    def __init__(self, resource: Resource) -> None:
        Site.__init__(self, resource)
        self._made: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        made = Site.buildProtocol(self, addr)
        self._made.append(made)
        return made

    def abort(self) -> None:
        """Cut what is connected."""
        for one in self._made:
            with contextlib.suppress(AttributeError):  # it is gone already
                one._channel.transport.abortConnection()


class SmallMaster(Resource):
    """Keeps what the agent told it. `trouble` maps a route to what is done instead of answering, once each."""

    isLeaf = True

    def __init__(self, reactor: Any, creator: Any = None) -> None:
        """`creator`: makes connections with TLS (Twisted's IOpenSSLServerConnectionCreator)."""
        Resource.__init__(self)
        self.key = Ed25519PrivateKey.generate()
        self.commands: list[Envelope] = []
        self.accepted: list[str] = []
        self.verdicts: dict[str, str] = {}
        self.batches: list[LogBatch] = []
        self.statistics: list[StatsBatch] = []
        self.results: list[Result] = []
        self.facts: list[HostFacts] = []
        self.lists: list[ProcessList] = []
        self.counts: dict[str, int] = {}
        self.trouble: dict[str, list[Callable[[Request], None]]] = {}
        self.hold_messages = False
        self._polls: list[Request] = []
        self._tokens: set[str] = set()
        self._changed: list[Deferred[None]] = []
        self._reactor = reactor
        self.ca: str | None = None
        site: Any = _Site(self)
        self.abort_connections = site.abort
        factory = site if creator is None else TLSMemoryBIOFactory(creator, False, site, reactor)
        self._port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port = self._port.getHost().port
        self.url = f"http://127.0.0.1:{self.port}" if creator is None else f"https://localhost:{self.port}"

    async def stop(self) -> None:
        """Let go of all polls and of the port."""
        self.trouble.clear()
        for poll in self._polls:
            poll.loseConnection()
        await self._port.stopListening()

    def command(self, cmd: str, args: Any, **fields: Any) -> Envelope:
        """Sign a command for agent 1:1."""
        data = fields.pop("data", "")
        known = {
            "id": secrets.token_hex(8),
            "company": "default",
            "gid": 1,
            "nid": 1,
            "created": 1000,
            "not_after": FAR,
        }
        signed = SignedCommand(
            cmd=cmd, args=Raw(msgspec.json.encode(args)), data_sha256=sha256_text(data), **{**known, **fields}
        )
        return seal(self.key, signed, data)

    def send(self, *envelopes: Envelope) -> None:
        """Give these with the next poll, or with the one that waits."""
        self.commands.extend(envelopes)
        if self._polls:
            self._give(self._polls.pop())

    async def until(self, condition: Callable[[], object], what: str, deadline_s: float = 15.0) -> None:
        """Wait until a request has made this true."""
        late = self._reactor.callLater(deadline_s, self._late, what)
        try:
            while not condition():
                changed: Deferred[None] = Deferred()
                self._changed.append(changed)
                await changed
        finally:
            if late.active():
                late.cancel()

    def result(self, id_: str) -> Result:
        """The result of one task."""
        return next(result for result in self.results if result.id == id_)

    def has(self, *ids: str) -> bool:
        """Tell whether all of these have results."""
        return set(ids) <= {result.id for result in self.results}

    def texts(self, task: str) -> list[str]:
        """What a task printed."""
        groups = [group for batch in self.batches for group in batch.groups if group.task == task]
        return [message.data for group in groups for message in group.messages]

    def render(self, request: Request) -> int:
        """Serve, or make trouble."""
        route = request.path.rpartition(b"/")[2].decode()
        self.counts[route] = self.counts.get(route, 0) + 1
        troubles = self.trouble.get(route)
        if troubles:
            troubles.pop(0)(request)
        elif route not in {"challenge", "session", "join"} and not self._known(request):
            problem(401, "unauthorized")(request)
        else:
            getattr(self, f"_do_{route}")(request)
        self._tell()
        return NOT_DONE_YET

    def forget_sessions(self) -> None:
        """Answer 401 to all tokens given so far."""
        self._tokens.clear()

    def _known(self, request: Request) -> bool:
        return (request.getHeader("authorization") or "").removeprefix("Bearer ") in self._tokens

    def _do_join(self, request: Request) -> None:
        answer(
            request,
            {
                "gid": 1,
                "nid": 1,
                "company": "default",
                "ca": self.ca,
                "master_keys": [public_text(self.key.public_key())],
            },
        )

    def _do_challenge(self, request: Request) -> None:
        answer(request, {"challenge": secrets.token_hex(8), "expires_s": 60})

    def _do_session(self, request: Request) -> None:
        token = secrets.token_hex(8)
        self._tokens.add(token)
        answer(request, {"session": token, "epoch": len(self._tokens), "lease_s": 30, "valid_s": 3600})

    def _do_cmd(self, request: Request) -> None:
        request.notifyFinish().addErrback(lambda _: self._polls.remove(request) if request in self._polls else None)
        if self.commands:
            self._give(request)
        else:
            self._polls.append(request)

    def _give(self, request: Request) -> None:
        commands, self.commands = self.commands, []
        answer(request, {"commands": commands})

    def _do_accept(self, request: Request) -> None:
        ids = read(AcceptRequest, request).accepted
        self.accepted.extend(ids)
        answer(request, {"verdicts": [self.verdicts.get(id_, "START") for id_ in ids]})

    def _do_log(self, request: Request) -> None:
        if self.hold_messages:
            problem(503, "unavailable")(request)
            return
        batch = read(LogBatch, request)
        if batch.seq not in {known.seq for known in self.batches if known.boot == batch.boot}:
            self.batches.append(batch)
        answer(request, {"acked": batch.seq})

    def _do_result(self, request: Request) -> None:
        results = read(ResultBatch, request).results
        self.results.extend(results)
        answer(request, {"receipts": ["OK"] * len(results)})

    def _do_facts(self, request: Request) -> None:
        self.facts.append(read(HostFacts, request))
        answer(request, {"version": len(self.facts)})

    def _do_processes(self, request: Request) -> None:
        self.lists.append(read(ProcessList, request))
        answer(request, {"kept": len(self.lists[-1].processes)})

    def _do_stats(self, request: Request) -> None:
        batch = read(StatsBatch, request)
        self.statistics.append(batch)
        answer(request, {"acked": batch.seq})

    def _tell(self) -> None:
        changed, self._changed = self._changed, []
        for waiter in changed:
            waiter.callback(None)

    def _late(self, what: str) -> None:
        changed, self._changed = self._changed, []
        for waiter in changed:
            waiter.errback(AssertionError(f"waited in vain for {what}"))


def read(kind: Any, request: Request) -> Any:
    """Decode a post as strictly as the master does."""
    return msgspec.json.decode(request.content.read(), type=kind)  # type: ignore[union-attr]  # it is complete


def answer(request: Request, record: Any, kind: str = MEDIA_TYPE) -> None:
    """Answer 200."""
    request.setHeader("content-type", kind)
    request.write(msgspec.json.encode(record))
    request.finish()


def problem(status: int, code: str) -> Callable[[Request], None]:
    """Answer with a problem."""

    def render(request: Request) -> None:
        request.setResponseCode(status)
        answer(request, {"type": f"/errors#{code}", "detail": "made up"}, "application/problem+json")

    return render


def lose(request: Request) -> None:
    """Close the connection without an answer."""
    request.loseConnection()


def digest(texts: Sequence[str]) -> str:
    """SHA-256 of lines."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
