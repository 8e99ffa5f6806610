"""The agents' routes as plain resources: twice as fast as Klein, which matters here (PERFORMANCE 8)."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from deployer.errors import ForbiddenError, InvalidError, MalformedError, MethodNotAllowedError, UnsupportedTypeError
from deployer.protocol.codecs import Misfit, NotJson, decode, decode_strict
from deployer.protocol.wire import MAX_POST_BYTES, MEDIA_TYPE

T = TypeVar("T")
Refuse = Callable[[Request, Exception], None]
"""Writes an error as problem+json and ends the request (`rest.problems.refuse`)."""
Require = Callable[[Request], None]
"""Raises when a request may not reach any route of agents."""


def require_certificate(request: Request) -> None:
    """ForbiddenError when the connection shows no certificate. One of a wrong CA does not get as far as this."""
    transport = getattr(request.channel, "transport", None)
    shown = getattr(transport, "getPeerCertificate", lambda: None)()
    if shown is None:
        raise ForbiddenError("this master asks agents for a certificate of its own: set tls_cert and tls_key")


class AgentResource(Resource):
    """One route with one method; a coroutine that returns the answer's bytes."""

    isLeaf = True

    def __init__(
        self,
        method: bytes,
        serve: Callable[[Request], Coroutine[Deferred[Any], Any, bytes]],
        refuse: Refuse,
        begin: Callable[[Request], None] = lambda _: None,
        require: Require = lambda _: None,
    ) -> None:
        Resource.__init__(self)
        self._require = require
        self._begin = begin
        self._method = method
        self._serve = serve
        self._refuse = refuse

    def render(self, request: Request) -> int:
        """Begin; the answer comes when the coroutine has ended. A client that leaves cancels it."""
        self._begin(request)
        if request.method != self._method:
            request.setHeader(b"allow", self._method)
            self._refuse(request, MethodNotAllowedError(f"only {self._method.decode()} is served here"))
            return NOT_DONE_YET
        running = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: running.cancel())
        running.addErrback(_ignore_departed)
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        try:
            self._require(request)
            body = await self._serve(request)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the agent gets an answer)
            self._refuse(request, error)
            return
        request.setHeader(b"content-type", MEDIA_TYPE.encode())
        request.setHeader(b"content-length", b"%d" % len(body))
        request.write(body)
        request.finish()


def _ignore_departed(failure: Failure) -> None:
    failure.trap(CancelledError)


def read(kind: type[T], request: Request, *, strict: bool = False, max_bytes: int = MAX_POST_BYTES) -> T:
    """Decode a posted body; errors tell the place."""
    body: bytes = request.content.read()  # type: ignore[union-attr]  # there is content once the request is complete
    try:
        if request.getHeader("content-type") != MEDIA_TYPE:
            raise UnsupportedTypeError(f"the body must be of type {MEDIA_TYPE}")
        if len(body) > max_bytes:
            raise MalformedError(f"{len(body)} bytes are more than the {max_bytes} that this route takes")
        return decode_strict(kind, body, max_bytes=max_bytes) if strict else decode(kind, body)
    except NotJson as error:
        raise MalformedError(f"the body is not JSON: {error}") from None
    except Misfit as error:
        raise InvalidError(error.pointer, error.message) from None


encode = msgspec.json.Encoder().encode
