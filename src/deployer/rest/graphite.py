"""What Graphite's clients call, below `/graphite` (CONVENTIONS 3.2): forms in, plain JSON out.

Its own conventions are why this is not in the API of `endpoint`: parameters come in the query, in a form or in both and
may be repeated, answers are bare lists, and Grafana sends its token as a Basic password. No session's cookie counts, so
no page of another origin can ask here in somebody's name. Errors are problems, as everywhere.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

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
    NotFoundError,
    TooManyError,
    UnauthorizedError,
    UnsupportedTypeError,
)
from deployer.kit.http.channel import mark_authenticated
from deployer.model.access import Caller, Permission
from deployer.model.graphite.problems import WrongTargetError
from deployer.rest.auditing import Auditor
from deployer.rest.endpoint import Begin, require
from deployer.rest.problems import refuse

FRONT: Final = b"graphite"
MAX_PARAMETERS: Final = 1000
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_BASIC: Final = b'Basic realm="deployer", charset="UTF-8"'
_READING: Final = (b"GET", b"POST")


class Asked(Struct, frozen=True):
    """A request's parameters, those of the query first; `document`: a JSON body; `part`: the path's variable part."""

    parameters: Mapping[str, Sequence[str]]
    document: bytes | None
    part: str = ""

    def every(self, name: str) -> list[str]:
        """All values of a parameter, also as `name[]`."""
        return [*self.parameters.get(name, ()), *self.parameters.get(f"{name}[]", ())]

    def one(self, name: str, default: str) -> str:
        """The last value of a parameter, or the default when it has none or an empty one."""
        return next((value for value in reversed(self.every(name)) if value), default)

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`; more counts as `most`."""
        text = self.one(name, str(default))
        if not (text.isascii() and text.isdecimal()) or len(text) > 18 or int(text) < 1:  # noqa: PLR2004 (below 2**63)
            raise MalformedError(f"{name} is a whole number above 0, not {text[:30]!r}")
        return min(int(text), most)

    def flag(self, name: str) -> bool:
        """Whether it is on."""
        return self.one(name, "0").lower() in {"1", "true", "yes"}


class Plain(Struct, frozen=True):
    """An answer that is no JSON, or is JSON already."""

    body: bytes
    content_type: bytes = b"application/json"


Handler = Callable[[Caller, Asked], Awaitable[Any]]


class Route(Struct, frozen=True):
    """One path below `/graphite`, with `<…>` as its last part where that varies."""

    path: str
    handler: Handler
    methods: Sequence[bytes] = _READING
    needs: Permission = Permission.READ
    changes: bool = False


class Graphite:
    """All routes below `/graphite`."""

    def __init__(
        self,
        nouns: Sequence[Any],
        authenticate: Callable[[Request], Awaitable[Caller]],
        *,
        auditor: Auditor,
        begin: Begin,
    ) -> None:
        self._authenticate = authenticate
        self._auditor = auditor
        self._begin = begin
        self.routes = [route for noun in nouns for route in noun.routes]
        self._routes: dict[str, list[Route]] = {}
        for route in self.routes:
            self._routes.setdefault(route.path, []).append(route)

    def find(self, parts: Sequence[bytes]) -> Resource | None:
        """The resource for a path, None for one that is not below `/graphite`; a slash at the end changes nothing."""
        if parts[0] != FRONT:
            return None
        path = [part.decode() for part in parts[1:]]
        if path and not path[-1]:
            path.pop()
        routes = self._routes.get("/".join(path))
        if routes or not path:
            return _Served(self, routes or [], "")
        return _Served(self, self._routes.get("/".join([*path[:-1], "<name>"]), []), path[-1])

    async def answer(self, routes: Sequence[Route], request: Request, part: str) -> None:
        """Serve a request."""
        try:
            route = _of_method(routes, request)
            self._begin(f"/graphite/{route.path}", request.method.decode("latin-1"), request)
            caller = await self._known(request)
            answer = await self._handled(route, caller, request, part)
        except CancelledError:
            raise  # the client has left
        except WrongTargetError as error:
            refuse(request, MalformedError(str(error)))
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets a problem)
            if isinstance(error, UnauthorizedError):
                request.setHeader(b"www-authenticate", _BASIC)
            refuse(request, error)
        else:
            _write(request, answer)

    async def _known(self, request: Request) -> Caller:
        try:
            caller = await self._authenticate(request)
        except (UnauthorizedError, TooManyError) as error:
            self._auditor.count(request, error)
            raise
        mark_authenticated(request)
        return caller

    async def _handled(self, route: Route, caller: Caller, request: Request, part: str) -> Any:
        asked = self._auditor.asked(caller, f"{request.method.decode()} /graphite/{route.path}", request, {}, None)
        try:
            require(caller, route.needs)
            if route.changes:
                await self._auditor.allow(asked)
            return await route.handler(caller, _asked(request, part))
        except ForbiddenError as error:
            await self._auditor.deny(asked, error)
            raise


class _Served(Resource):
    """One path."""

    isLeaf = True

    def __init__(self, graphite: Graphite, routes: Sequence[Route], part: str) -> None:
        Resource.__init__(self)
        self._graphite = graphite
        self._routes = routes
        self._part = part

    def render(self, request: Request) -> int:
        """Begin; the answer comes when the handler has ended. A client that leaves cancels it."""
        running = Deferred.fromCoroutine(self._graphite.answer(self._routes, request, self._part))
        request.notifyFinish().addErrback(lambda _: running.cancel())
        running.addErrback(_ignore_departed)
        return NOT_DONE_YET


def _ignore_departed(failure: Failure) -> None:
    failure.trap(CancelledError)


def _of_method(routes: Sequence[Route], request: Request) -> Route:
    if not routes:
        raise NotFoundError("there is nothing at this path")
    for route in routes:
        if request.method in route.methods:
            return route
    allowed = ", ".join(sorted({method.decode() for route in routes for method in route.methods}))
    request.setHeader("allow", allowed)
    raise MethodNotAllowedError(f"only {allowed} is served here")


def _asked(request: Request, part: str) -> Asked:
    parameters: dict[str, list[str]] = {}
    for name, values in (request.args or {}).items():
        parameters[_text(name)] = [_text(value) for value in values]
    raw: bytes = request.content.read()  # type: ignore[union-attr]  # there is content once the request is complete
    kind = _kind(request) if raw else _FORM
    if raw.startswith(b"{"):  # curl -d says that it is a form
        kind = _JSON
    if kind == _FORM:
        for name, value in _form(raw):
            parameters.setdefault(name, []).append(value)
    if sum(map(len, parameters.values())) > MAX_PARAMETERS:
        raise MalformedError(f"more than {MAX_PARAMETERS} parameters")
    return Asked(parameters, raw if kind == _JSON else None, part)


def _kind(request: Request) -> str:
    kind = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
    encoding = (request.getHeader("content-encoding") or "identity").lower()
    if kind not in {_FORM, _JSON} or encoding != "identity":
        raise UnsupportedTypeError(f"the body must be {_FORM} or {_JSON}, without a content-encoding")
    return kind


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedError("a parameter is not UTF-8") from None


def _form(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise MalformedError(f"the body is no form in UTF-8 with at most {MAX_PARAMETERS} parameters") from None


def _write(request: Request, answer: Any) -> None:
    if not isinstance(answer, Plain):
        answer = Plain(_encode(answer))
    request.setHeader(b"content-type", answer.content_type)
    request.setHeader(b"content-length", b"%d" % len(answer.body))
    request.write(answer.body)
    request.finish()


_encode = msgspec.json.Encoder().encode
