"""`POST /write` and `/api/v2/write`: numbers in InfluxDB's line protocol, so that Telegraf can send to us.

The company is the token's; `db`, `bucket` and `org` are taken and mean nothing. 204 when all lines were stored; when
some could not be read the others are stored and the answer is 400, as InfluxDB does. Not in the audit log: it would be
full of them. Plain resources and not endpoints, since neither body nor answer is one of ours.
"""

import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from deployer.errors import (
    ForbiddenError,
    MalformedError,
    MethodNotAllowedError,
    TooLargeError,
    TooManyError,
    UnauthorizedError,
    UnsupportedTypeError,
)
from deployer.kit.clock import Clock, WallClock, sleep
from deployer.kit.http.channel import mark_authenticated
from deployer.model.access import Caller, Permission
from deployer.model.foreign import Store, how_of, is_timely, measured_series
from deployer.model.series import Datum
from deployer.protocol.lineprotocol import PRECISIONS, BadLine, Line, lines
from deployer.rest.auditing import Auditor
from deployer.rest.authentication import Authenticator
from deployer.rest.problems import refuse

MAX_BODY_BYTES: Final = 1024 * 1024
LINES_AT_ONCE: Final = 250
"""So many are parsed before others have their turn: about 5 ms."""
V1: Final = "/write"
V2: Final = "/api/v2/write"
PING: Final = "/ping"
GZIP: Final = 31
"""zlib's number for a body with gzip's header."""

Begin = Callable[[str, str, Request], None]


class Partial(Struct, frozen=True):
    """The answer when some was not stored; `error` is what clients of InfluxDB 1 read, `message` those of 2."""

    error: str
    code: str
    message: str


class Written(Struct):
    """What became of one body. `first`: the first line that could not be read."""

    points: int = 0
    strings: int = 0
    bad_lines: int = 0
    bad_names: int = 0
    bad_times: int = 0
    first: BadLine | None = None

    @property
    def dropped(self) -> int:
        """Lines and numbers that were to be stored and are not."""
        return self.bad_lines + self.bad_names + self.bad_times

    @property
    def sentence(self) -> str:
        """What a client is told."""
        what = (
            f"{self.bad_lines} lines cannot be read, {self.bad_names} names and {self.bad_times} times cannot be kept"
        )
        where = "" if self.first is None else f"; line {self.first.number}: {self.first.text}"
        return f"partial write: {what} dropped={self.dropped}{where}"


class Writes:
    """Both routes. `counts`: since the start."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        auditor: Auditor,
        begin: Begin,
        *,
        clock: Clock,
        wall: WallClock,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._auditor = auditor
        self._begin = begin
        self._clock = clock
        self._wall = wall
        self._total = Written()

    @property
    def counts(self) -> dict[str, float]:
        """By what became of them."""
        total = self._total
        return {name: getattr(total, name) for name in ("points", "strings", "bad_lines", "bad_names", "bad_times")}

    def routes(self) -> dict[bytes, Resource]:
        """The resources, by path."""
        writing = {path.encode(): _Write(self._serve, self._begin, path) for path in (V1, V2)}
        return {**writing, PING.encode(): _Ping(self._begin)}

    async def _serve(self, request: Request, path: str) -> bytes:
        """The answer's body; nothing for 204."""
        caller = await self._caller(request, path)
        precision = _precision(request)
        written = Written()
        async for data in self._data(lines(_body(request), precision), written):
            await self._store(caller.company, data)
            written.points += len(data)
        self._add(written)
        if not written.dropped:
            request.setResponseCode(204)
            return b""
        request.setResponseCode(400)
        request.setHeader(b"content-type", b"application/json")
        return msgspec.json.encode(Partial(written.sentence, "invalid", written.sentence))

    async def _caller(self, request: Request, path: str) -> Caller:
        try:
            caller = await self._authenticator.caller_of_token(request)
        except (UnauthorizedError, ForbiddenError, TooManyError) as error:
            self._auditor.count(request, error)
            raise
        mark_authenticated(request)
        if not caller.may(Permission.EXECUTE):
            refusal = ForbiddenError(f"the role {caller.role.value} may not do this")
            await self._deny(caller, path, request, refusal)
        if caller.agents is not None:
            refusal = ForbiddenError("series are of the whole company, and you may use some of its agents only")
            await self._deny(caller, path, request, refusal)
        return caller

    async def _deny(self, caller: Caller, path: str, request: Request, refusal: ForbiddenError) -> NoReturn:
        await self._auditor.deny(self._auditor.asked(caller, f"POST {path}", request, {}, None), refusal)
        raise refusal

    async def _data(self, found: Iterator[Line | BadLine], written: Written) -> AsyncIterator[list[Datum]]:
        """Numbers in parts, so that a large body holds up nobody."""
        now = self._wall()
        while some := list(islice(found, LINES_AT_ONCE)):
            data = [datum for line in some for datum in _of_line(line, now, written)]
            if data:
                yield data
            await sleep(self._clock, 0)

    def _add(self, written: Written) -> None:
        for name in self.counts:
            setattr(self._total, name, getattr(self._total, name) + getattr(written, name))


def _of_line(line: Line | BadLine, now: float, written: Written) -> Iterator[Datum]:
    if isinstance(line, BadLine):
        written.bad_lines += 1
        written.first = written.first or line
        return
    written.strings += line.strings
    at = int(now) if line.at is None else line.at
    if not is_timely(at, now):
        written.bad_times += len(line.fields)
        return
    for field, value in line.fields:
        series = measured_series(line.measurement, field, line.tags)
        if series is None:
            written.bad_names += 1
        else:
            yield Datum(series, at, value, how_of(series))


def _precision(request: Request) -> str:
    given: Sequence[bytes] = (request.args or {}).get(b"precision", [b""])
    text: str = given[-1].decode("utf-8", "replace")
    if text not in PRECISIONS:
        raise MalformedError(f"precision is one of {', '.join(filter(None, PRECISIONS))}")
    return text


def _body(request: Request) -> str:
    raw: bytes = request.content.read()  # type: ignore[union-attr]  # there is content once the request is complete
    coding = (request.getHeader("content-encoding") or "identity").lower()
    if coding == "gzip":
        raw = _unpacked(raw)
    elif coding != "identity":
        raise UnsupportedTypeError("of content-encodings only gzip is taken")
    if len(raw) > MAX_BODY_BYTES:
        raise TooLargeError(f"more than {MAX_BODY_BYTES} bytes are not taken at once")
    return raw.decode("utf-8", "replace")


def _unpacked(raw: bytes) -> bytes:
    """As far as one byte more than may be."""
    unpacking = zlib.decompressobj(GZIP)
    try:
        text = unpacking.decompress(raw, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise MalformedError(f"the body is not gzip: {error}") from None
    if not unpacking.eof and len(text) <= MAX_BODY_BYTES:
        raise MalformedError("the body is not gzip: it does not end")
    return text


class _Ping(Resource):
    """Where clients of InfluxDB look whether there is one; a token is not asked for there either."""

    isLeaf = True

    def __init__(self, begin: Begin) -> None:
        Resource.__init__(self)
        self._begin = begin

    def render(self, request: Request) -> int:
        """204: there is one that takes lines."""
        self._begin(PING, "GET", request)
        if request.method in {b"GET", b"HEAD"}:
            request.setResponseCode(204)
            request.finish()
        else:
            request.setHeader(b"allow", b"GET, HEAD")
            refuse(request, MethodNotAllowedError("only GET and HEAD are served here"))
        return NOT_DONE_YET


class _Write(Resource):
    """One path."""

    isLeaf = True

    def __init__(self, serve: Callable[[Request, str], Any], begin: Begin, path: str) -> None:
        Resource.__init__(self)
        self._serve = serve
        self._begin = begin
        self._path = path

    def render(self, request: Request) -> int:
        """Begin; a client that leaves ends it."""
        self._begin(self._path, "POST", request)
        if request.method != b"POST":
            request.setHeader(b"allow", b"POST")
            refuse(request, MethodNotAllowedError("only POST is served here"))
            return NOT_DONE_YET
        running = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: running.cancel())
        running.addErrback(_ignore_departed)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        try:
            body = await self._serve(request, self._path)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets a problem)
            refuse(request, error)
            return
        if body:
            request.setHeader(b"content-length", b"%d" % len(body))
            request.write(body)
        request.finish()


def _ignore_departed(failure: Failure) -> None:
    failure.trap(CancelledError)
