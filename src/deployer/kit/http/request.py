"""One request: in memory, with an id, and failing as problem+json instead of pages of HTML."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET, Request

from deployer.kit.http.problems import CONTENT_TYPE, REQUEST_ID, Refusal, problem_body, request_id

if TYPE_CHECKING:
    from deployer.kit.http.channel import HardenedChannel


def _respond(request: Request, body: bytes) -> None:
    request.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
    request.write(body)
    request.finish()


class HardenedRequest(Request):
    """What resources are given. `request_id` goes into logs and jobs."""

    channel: "HardenedChannel"
    defaultContentType = b"application/octet-stream"
    request_id = b""
    content: BytesIO  # gotLength sets it by the site's getContentFile

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body as long as it is within the limit."""
        if self.channel.take(len(data)):
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Name the request before anything can answer it."""
        given = self.requestHeaders.getRawHeaders(REQUEST_ID)
        self.request_id = request_id(given[0] if given else None)
        self.responseHeaders.setRawHeaders(REQUEST_ID, [self.request_id])
        Request.requestReceived(self, command, path, version)

    def render(self, resrc: IResource) -> None:
        """Let a resource answer."""
        try:
            body: Any = resrc.render(self)  # type: ignore[misc, call-arg]  # zope's interfaces are unknown to mypy
        except UnsupportedMethod as error:
            self._method_not_allowed(error)
            return
        if body is NOT_DONE_YET:
            return
        if not isinstance(body, bytes):
            raise TypeError(f"{type(resrc).__name__} answered {type(body).__name__} instead of bytes")
        _respond(self, body)

    def problem(self, refusal: Refusal) -> None:
        """Answer with an error and finish."""
        self.setResponseCode(refusal.status)
        self.responseHeaders.setRawHeaders(b"Content-Type", [CONTENT_TYPE])
        if refusal.allow:
            self.responseHeaders.setRawHeaders(b"Allow", [refusal.allow])
        _respond(self, problem_body(refusal, self.request_id))

    def processingFailed(self, reason: Failure) -> Failure:
        """Log what broke, and tell the client no more than that it did."""
        self._log.failure("request {request_id} failed", failure=reason, request_id=self.request_id.decode("ascii"))
        if self.startedWriting:
            Request.loseConnection(self)
        else:
            self.problem(
                Refusal(500, "internal_error", "Internal Server Error", "The master failed; its log says why.")
            )
        return reason

    def _method_not_allowed(self, error: UnsupportedMethod) -> None:
        allowed = b", ".join(sorted(error.allowedMethods))
        self.problem(Refusal(405, "method_not_allowed", "Method Not Allowed", "Not here.", allowed))
