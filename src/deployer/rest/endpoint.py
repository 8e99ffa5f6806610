"""One declaration for each endpoint: method, path, permission, body, answer; without a permission it does not import.

A handler gets the caller, the path's parts and decoded records, and returns a record; permission, decoding, encoding
and errors are done here. `Api` refuses two handlers of one name: Klein would let the last answer for both.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import msgspec.inspect
from klein import Klein
from msgspec import Struct
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.web.http import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from deployer.errors import (
    DeployerError,
    ForbiddenError,
    InvalidError,
    MalformedError,
    MethodNotAllowedError,
    NotFoundError,
    TooManyError,
    UnauthorizedError,
    UnsupportedTypeError,
)
from deployer.kit.http.channel import mark_authenticated
from deployer.kit.http.peer import Peer
from deployer.model.access import Caller, Permission
from deployer.protocol.codecs import Misfit, NotJson, decode_strict, misfit
from deployer.rest import expansion
from deployer.rest.answers import Answer, Stream
from deployer.rest.auditing import READS, Auditor
from deployer.rest.conditional import Match, is_known
from deployer.rest.idempotency import Idempotency
from deployer.rest.problems import prepare, refuse
from deployer.rest.streaming import send

MAX_BODY_BYTES: Final = 1024 * 1024
JSON: Final = b"application/json"

Handler = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Handler)


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint that takes no query parameters."""


class Declaration(Struct, frozen=True):
    """What `@endpoint` says of a handler."""

    method: str
    path: str
    needs: Permission
    returns: Any
    body: type[Struct] | None
    query: type[Struct]
    streams: bool
    text: bool
    conditional: bool
    peer: bool
    statuses: Sequence[int]


class Reader(Struct, frozen=True):
    """What a reader that could follow asks for."""

    accept: str
    last_event_id: str | None


def endpoint(
    method: str,
    path: str,
    *,
    needs: Permission,
    returns: Any,
    body: type[Struct] | None = None,
    query: type[Struct] = NoQuery,
    streams: bool = False,
    text: bool = False,
    conditional: bool = False,
    peer: bool = False,
    statuses: Sequence[int] = (200,),
) -> Callable[[F], F]:
    """Declare a handler: `async def handler(self, caller, **path, query=, body=, reader=, match=, peer=)`.

    `query` and `body` come where they are declared, `reader` where the answer may be a Stream, `text` where the body
    is text/plain, `match` where the request is `conditional`, `peer` for what must know where a request comes from.
    `statuses` are those of answers that are no problems.
    """

    def declare(handler: F) -> F:
        its = Declaration(method, path, needs, returns, body, query, streams, text, conditional, peer, statuses)
        handler.declaration = its  # type: ignore[attr-defined]  # a mark
        return handler

    return declare


Begin = Callable[[str, str, Request], None]
"""Told of each request with its route and method, when it begins."""


def _unmeasured(route: str, method: str, request: Request) -> None:
    """Nobody measures."""


class Api:
    """All nouns on one Klein."""

    log = Logger()

    def __init__(
        self,
        nouns: Sequence[object],
        authenticate: Callable[[Request], Awaitable[Caller]],
        *,
        peer_of: Callable[[Request], Peer],
        auditor: Auditor,
        idempotency: Idempotency,
        begin: Begin = _unmeasured,
    ) -> None:
        self._begin = begin
        self._peer_of = peer_of
        self._auditor = auditor
        self._idempotency = idempotency
        self.klein = Klein()
        self.declarations: dict[str, Declaration] = {}
        self._handlers: dict[str, Handler] = {}
        self._authenticate = authenticate
        for noun in nouns:
            for name in dir(noun):
                handler = getattr(noun, name)
                if (declaration := getattr(handler, "declaration", None)) is not None:
                    self._add(f"{type(noun).__name__}.{name}", declaration, handler)
        self.klein.handle_errors(HTTPException)(_unrouted)

    def _add(self, name: str, declaration: Declaration, handler: Handler) -> None:
        if name in self.declarations:
            raise ValueError(f"two handlers are named {name}: the last would answer for both")
        self.declarations[name] = declaration
        self._handlers[name] = handler

        async def serve(request: Request, **path: str) -> None:
            self._begin(declaration.path, declaration.method, request)
            try:
                answer = await self._answer(declaration, handler, request, path)
                await _write(request, answer)
            except CancelledError:
                raise  # the client has left
            except Exception as error:  # noqa: BLE001 (whatever it is, the client gets a problem)
                refuse(request, error)

        self.klein.route(declaration.path, methods=[declaration.method], endpoint=name)(serve)

    async def _answer(self, declaration: Declaration, handler: Handler, request: Request, path: dict[str, str]) -> Any:
        try:
            if declaration.needs is Permission.PUBLIC:
                return await handler(**self._given(declaration, request, path))
            caller = await self._authenticate(request)
        except (UnauthorizedError, ForbiddenError, TooManyError) as error:
            self._auditor.count(request, error)
            raise
        mark_authenticated(request)
        return await self._answer_to(caller, declaration, handler, request, path)

    async def _answer_to(
        self, caller: Caller, declaration: Declaration, handler: Handler, request: Request, path: dict[str, str]
    ) -> Any:
        action = f"{declaration.method} {declaration.path}"
        changes = declaration.method not in READS
        body = None
        try:
            require(caller, declaration.needs)
            given = self._given(declaration, request, path)
            if changes:
                body = given.get("body")
                await self._auditor.allow(self._auditor.asked(caller, action, request, path, body))
            if declaration.method == "POST":
                work = partial(handler, caller, **given)
                answer = await self._idempotency.once(caller, action, request, given.get("body"), work)
            else:
                answer = await self._expanded(caller, declaration, request, await handler(caller, **given))
        except (ForbiddenError, NotFoundError, InvalidError) as error:
            if isinstance(error, ForbiddenError) or (changes and _hides(error)):
                await self._auditor.deny(self._auditor.asked(caller, action, request, path, body), error)
            raise
        return answer.watched(lambda: self._is_still(caller, request)) if isinstance(answer, Stream) else answer

    def _given(self, declaration: Declaration, request: Request, path: dict[str, str]) -> dict[str, Any]:
        """What the handler is called with."""
        given: dict[str, Any] = dict(path)
        query = _query(declaration.query, _parameters(declaration, request))
        if declaration.query is not NoQuery:
            given["query"] = query
        if declaration.body is not None:
            given["body"] = self._idempotency.identified(_body(declaration.body, request), request)
        if declaration.text:
            given["text"] = _text(request)
        if declaration.conditional:
            given["match"] = Match.of(request.requestHeaders.getRawHeaders(b"if-match", []))
        if declaration.peer:
            given["peer"] = self._peer_of(request)
        if declaration.streams:
            given["reader"] = Reader(request.getHeader("accept") or "", request.getHeader("last-event-id"))
        return given

    async def _expanded(self, caller: Caller, declaration: Declaration, request: Request, answer: Any) -> Any:
        """With what the parameter `expand` names, if it is there."""
        text = _expand(declaration, request)
        if text is None or isinstance(answer, Stream):
            return answer
        names = expansion.wanted(text, declaration.returns)
        return await expansion.expanded(answer, names, partial(self._look, caller))

    async def _look(self, caller: Caller, href: str) -> Any:
        """What a GET of one of our own paths would answer this caller; None where it would answer no record."""
        parts = urlsplit(href)
        try:
            name, path = self.klein.url_map.bind("").match(parts.path, method="GET")
            declaration, handler = self.declarations[name], self._handlers[name]
            if declaration.streams or declaration.peer or not caller.may(declaration.needs):
                return None
            values = {name.encode(): [text.encode() for text in texts] for name, texts in parse_qs(parts.query).items()}
            query = _query(declaration.query, values)
            given = {} if declaration.query is NoQuery else {"query": query}
            answer = await handler(caller, **path, **given)
        except (HTTPException, KeyError, NotFoundError, ForbiddenError, MalformedError):
            return None
        record = answer.record if isinstance(answer, Answer) else answer
        return None if isinstance(record, Stream) else expansion.builtins(record)

    async def _is_still(self, caller: Caller, request: Request) -> bool:
        """Whether the request's token still stands for the same caller."""
        try:
            return await self._authenticate(request) == caller
        except (UnauthorizedError, TooManyError):
            return False


def _hides(error: DeployerError) -> bool:
    """Whether what was named is not there, or not the caller's: both are told alike."""
    return isinstance(error, NotFoundError) or error.code.startswith("no_matching_")


def require(caller: Caller, needs: Permission) -> None:
    """ForbiddenError for a caller without a permission."""
    if not caller.may(needs):
        raise ForbiddenError(f"the role {caller.role.value} may not do this")


async def _write(request: Request, answer: Any) -> None:
    if isinstance(answer, Stream):
        await send(request, answer.content_type, answer.chunks)
        return
    if not isinstance(answer, Answer):
        answer = Answer(answer)
    if request.method in {b"GET", b"HEAD"} and not answer.changing and is_known(request, answer.headers):
        request.setResponseCode(HTTPStatus.NOT_MODIFIED)
        body = b""
    else:
        body = _encode(answer.record)
        request.setResponseCode(answer.status)
        request.setHeader(b"content-type", JSON)
        request.setHeader(b"content-length", b"%d" % len(body))
    for name, value in answer.headers:
        request.setHeader(name, value)
    request.write(b"" if request.method == b"HEAD" else body)
    request.finish()


Parameters = Mapping[bytes, Sequence[bytes]]


def _parameters(declaration: Declaration, request: Request) -> Parameters:
    """Those that the handler is to get."""
    given: Parameters = request.args or {}
    if _expand(declaration, request) is None:
        return given
    return {name: values for name, values in given.items() if name != expansion.PARAMETER.encode()}


def _expand(declaration: Declaration, request: Request) -> str | None:
    """The parameter `expand` where the answer refers to something."""
    values = (request.args or {}).get(expansion.PARAMETER.encode())
    if not values or declaration.method != "GET" or not expansion.expandable(declaration.returns):
        return None
    if len(values) != 1:
        raise MalformedError(f"the query parameter {expansion.PARAMETER!r} is given twice: put commas between names")
    text: str = values[0].decode("utf-8", "replace")
    return text


def _query(kind: type[Struct], parameters: Parameters) -> Struct:
    given: dict[str, str | list[str]] = {}
    for raw_name, values in parameters.items():
        name = raw_name.decode("utf-8", "replace")
        if name not in kind.__struct_encode_fields__:
            raise MalformedError(f"no query parameter is named {name[:64]!r} here")
        texts = [value.decode("utf-8", "replace") for value in values]
        if name in _repeated(kind):
            given[name] = texts
            continue
        if len(texts) != 1:
            raise MalformedError(f"the query parameter {name!r} is given twice")
        given[name] = texts[0]
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedError(f"in the query: {misfit(kind, error)}") from None


@lru_cache
def _repeated(kind: type[Struct]) -> frozenset[str]:
    """Parameters that may be given several times: those that are lists."""
    its: Any = msgspec.inspect.type_info(kind)
    return frozenset(one.encode_name for one in its.fields if isinstance(one.type, msgspec.inspect.ListType))


def _body(kind: type[Struct], request: Request) -> Struct:
    _require_type(request, "application/json")
    raw: bytes = request.content.read()  # type: ignore[union-attr]  # there is content once the request is complete
    try:
        return decode_strict(kind, raw, max_bytes=MAX_BODY_BYTES)
    except NotJson as error:
        raise MalformedError(f"the body is not JSON: {error}") from None
    except Misfit as error:
        raise InvalidError(error.pointer, error.message) from None


def _text(request: Request) -> str:
    _require_type(request, "text/plain")
    raw: bytes = request.content.read()  # type: ignore[union-attr]  # there is content once the request is complete
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"the body is not UTF-8 at byte {error.start}") from None


def _require_type(request: Request, kind: str) -> None:
    main, _, parameters = (request.getHeader("content-type") or "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if main.strip().lower() != kind or charset not in {"", "charset=utf-8"}:
        raise UnsupportedTypeError(f"the body must be {kind} in UTF-8")
    if (request.getHeader("content-encoding") or "identity").lower() != "identity":
        raise UnsupportedTypeError("a body with a content-encoding is not taken")


def _unrouted(request: Request, failure: Any) -> bytes:
    """What Klein's router raises for what is not declared; Klein writes what an error handler returns."""
    error = failure.value
    answer: DeployerError = NotFoundError("there is nothing at this path")
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(set(error.valid_methods or ()) | {"OPTIONS"}))
        request.setHeader("allow", allowed)
        answer = MethodNotAllowedError(f"only {allowed} is served here")
    return prepare(request, answer)


_encode = msgspec.json.Encoder().encode
