"""The long poll: `GET /{gid}/{nid}/cmd`, `POST …/accept`, `log`, `result`, `stats`, `facts`, `processes` (wire.py)."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from msgspec import Struct
from twisted.web.http import Request

from deployer.errors import ForbiddenError, InvalidError, MalformedError, PollAgainError, UnauthorizedError
from deployer.kit.http.channel import mark_authenticated
from deployer.links.resource import AgentResource, Refuse, Require, encode, read
from deployer.links.sessions import Sessions
from deployer.protocol.facts import MAX_FACTS_BYTES, FactsAnswer, HostFacts
from deployer.protocol.ids import AgentId
from deployer.protocol.processes import MAX_PROCESSES_BYTES, ProcessesAnswer, ProcessList
from deployer.protocol.results import MAX_RESULT_BYTES, Result
from deployer.protocol.scripts import ScriptAnswer, is_name
from deployer.protocol.stats import MAX_STATS_BYTES, StatsAnswer, StatsBatch
from deployer.protocol.wire import (
    MAX_COMMANDS,
    POLL_S,
    AcceptAnswer,
    AcceptRequest,
    LogAnswer,
    LogBatch,
    Receipt,
    ResultAnswer,
    ResultBatch,
    Verdict,
)
from deployer.stores.agents import Session


class Handlers(Struct, frozen=True):
    """What the link hands on, given by assembly: to `dispatch` and `telemetry`."""

    poll: Callable[[Session, int, float], Awaitable[list[bytes]]]
    accept: Callable[[Session, Sequence[str]], Awaitable[list[Verdict]]]
    log: Callable[[Session, LogBatch], Awaitable[int]]
    finish: Callable[[Session, Sequence[Result]], Awaitable[list[Receipt]]]
    record_runs: Callable[[Session, Sequence[Result]], Awaitable[list[Receipt]]]
    script: Callable[[str, str, str, str], Awaitable[str]]
    stats: Callable[[Session, StatsBatch], Awaitable[int]]
    facts: Callable[[Session, HostFacts], Awaitable[int]]
    processes: Callable[[Session, ProcessList], Awaitable[None]]


class LongPoll:
    """Serves the routes of all agents. The agent's numbers come from its session; those in the URL must be the same."""

    def __init__(
        self,
        sessions: Sessions,
        handlers: Handlers,
        refuse: Refuse,
        begin: Callable[[str, str, Request], None] = lambda *_: None,
        require: Require = lambda _: None,
    ) -> None:
        self._sessions = sessions
        self._handlers = handlers
        served = {
            "cmd": ("GET", self._poll),
            "accept": ("POST", self._accept),
            "log": ("POST", self._log),
            "result": ("POST", self._result),
            "script": ("GET", self._script),
            "stats": ("POST", self._stats),
            "facts": ("POST", self._facts),
            "processes": ("POST", self._processes),
        }
        self._routes = {
            name.encode(): AgentResource(
                method.encode(), serve, refuse, partial(begin, f"/<gid>/<nid>/{name}", method), require
            )
            for name, (method, serve) in served.items()
        }

    def resource(self, path: Sequence[bytes]) -> AgentResource | None:
        """The route of `/{gid}/{nid}/<route>`; None when the path is no such thing."""
        if len(path) != 3 or not (path[0].isdigit() and path[1].isdigit()):  # noqa: PLR2004 (gid, nid, route)
            return None
        return self._routes.get(path[2])

    async def _poll(self, request: Request) -> bytes:
        session = await self._session(request)
        count, wait_s = _number(request, b"n", MAX_COMMANDS), _number(request, b"wait", int(POLL_S))
        try:
            claimed = await self._handlers.poll(session, count, wait_s)
        except PollAgainError:
            claimed = []
        return b'{"commands":[' + b",".join(claimed) + b"]}"

    async def _accept(self, request: Request) -> bytes:
        session = await self._session(request)
        return encode(AcceptAnswer(await self._handlers.accept(session, read(AcceptRequest, request).accepted)))

    async def _log(self, request: Request) -> bytes:
        session = await self._session(request)
        return encode(LogAnswer(await self._handlers.log(session, read(LogBatch, request))))

    async def _result(self, request: Request) -> bytes:
        session = await self._session(request)
        batch = read(ResultBatch, request)
        _require_short("results", batch.results)
        _require_short("runs", batch.runs)
        run_receipts = await self._handlers.record_runs(session, batch.runs)
        return encode(ResultAnswer(await self._handlers.finish(session, batch.results), run_receipts))

    async def _stats(self, request: Request) -> bytes:
        session = await self._session(request)
        batch = read(StatsBatch, request, max_bytes=MAX_STATS_BYTES)
        return encode(StatsAnswer(await self._handlers.stats(session, batch)))

    async def _facts(self, request: Request) -> bytes:
        session = await self._session(request)
        facts = read(HostFacts, request, max_bytes=MAX_FACTS_BYTES)
        return encode(FactsAnswer(await self._handlers.facts(session, facts)))

    async def _processes(self, request: Request) -> bytes:
        session = await self._session(request)
        listed = read(ProcessList, request, max_bytes=MAX_PROCESSES_BYTES)
        await self._handlers.processes(session, listed)
        return encode(ProcessesAnswer(len(listed.processes)))

    async def _script(self, request: Request) -> bytes:
        """The text of a version of a script of the agent's company."""
        session = await self._session(request)
        domain, name, sha256 = (_word(request, field) for field in (b"domain", b"name", b"sha256"))
        return encode(ScriptAnswer(await self._handlers.script(session.company, domain, name, sha256)))

    async def _session(self, request: Request) -> Session:
        session = await self._sessions.authenticate(_bearer(request))
        gid, nid = request.path.split(b"/")[1:3]
        if session.agent != AgentId(int(gid), int(nid)):
            raise ForbiddenError("this session is another agent's")
        mark_authenticated(request)
        return session


def _require_short(field: str, results: Sequence[Result]) -> None:
    for index, result in enumerate(results):
        if len(result.data) > MAX_RESULT_BYTES:
            raise InvalidError(f"/{field}/{index}/data", f"longer than {MAX_RESULT_BYTES}")


def _word(request: Request, name: bytes) -> str:
    values = (request.args or {}).get(name, [])
    text = values[0].decode("utf-8", "replace") if len(values) == 1 else ""
    if not is_name(text):
        raise MalformedError(f"{name.decode()} must be a script's")
    return text


def _number(request: Request, name: bytes, most: int) -> int:
    """A whole number of the query, `most` when it is missing or more."""
    text = (request.args or {}).get(name, [b"%d" % most])[0]
    if not text.isdigit() or len(text) > 6:  # noqa: PLR2004 (a number, not a novel)
        raise MalformedError(f"{name.decode()} must be a whole number")
    return min(int(text), most)


def _bearer(request: Request) -> str:
    values = request.requestHeaders.getRawHeaders("authorization", [])
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise UnauthorizedError("a session token is needed: Authorization: Bearer …")
    return token
