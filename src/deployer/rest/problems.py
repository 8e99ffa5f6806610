"""Errors as `application/problem+json` (RFC 9457): the one table from the domain's errors to HTTP."""

import math
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct
from twisted.logger import Logger
from twisted.web.http import Request

from deployer import errors

log = Logger(namespace="deployer.rest.problems")

CONTENT_TYPE: Final = b"application/problem+json"
TYPE_PREFIX: Final = "/api/docs/errors#"
RETRY_AFTER_S: Final = 1
UNAUTHORIZED: Final = 401
INTERNAL: Final = 500
TRY_AGAIN: Final = frozenset({429, 503})

STATUS: Final[dict[type[errors.DeployerError], int]] = {
    errors.NotFoundError: 404,
    errors.InvalidError: 422,
    errors.MalformedError: 400,
    errors.UnsupportedTypeError: 415,
    errors.TooLargeError: 413,
    errors.MethodNotAllowedError: 405,
    errors.UnauthorizedError: 401,
    errors.ForbiddenError: 403,
    errors.WaitingError: 403,
    errors.RevokedError: 403,
    errors.ConflictError: 409,
    errors.InFlightError: 409,
    errors.ChangedError: 412,
    errors.StaleSessionError: 409,
    errors.OtherInstanceError: 409,
    errors.QuarantinedError: 409,
    errors.QueueFullError: 429,
    errors.TooManyError: 429,
    errors.NoSpaceError: 507,
    errors.UnavailableError: 503,
}


class Fault(Struct, frozen=True):
    """One part of a request that is wrong."""

    pointer: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """What a client reads."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""
    errors: list[Fault] = []


def problem(error: Exception, request_id: str) -> Problem:
    """The answer to an error; one that we did not foresee tells nothing of our inside."""
    if not isinstance(error, errors.DeployerError) or type(error) not in STATUS:
        return Problem(
            f"{TYPE_PREFIX}internal", _title(INTERNAL), INTERNAL, "something went wrong; it is logged", request_id
        )
    status = STATUS[type(error)]
    faults = [Fault(error.pointer, str(error))] if isinstance(error, errors.InvalidError) else []
    return Problem(TYPE_PREFIX + error.code, _title(status), status, str(error), request_id, faults)


def refuse(request: Request, error: Exception) -> None:
    """Write an error as the answer and end the request."""
    if request.startedWriting or request._disconnected:  # noqa: SLF001 (Twisted has no public name for it)
        if isinstance(error, errors.DeployerError):  # Redis went away under a stream: whoever reads goes on elsewhere
            log.info(
                "request {request_id} ends in mid answer: {error}", request_id=request_id(request), error=str(error)
            )
        else:
            log.failure("request {request_id} failed in mid answer", request_id=request_id(request))
        request.chunked = 0  # else the end of a half answer would look like the end of a whole one
        request.loseConnection()
        return
    body = prepare(request, error)
    request.write(b"" if request.method == b"HEAD" else body)
    request.finish()


def prepare(request: Request, error: Exception) -> bytes:
    """Set status and headers for an error; the body. An unforeseen one is logged with its traceback."""
    answer = problem(error, request_id(request))
    if answer.status == INTERNAL:
        log.failure("request {request_id} failed", request_id=answer.request_id)
    body = msgspec.json.encode(answer)
    request.setResponseCode(answer.status, answer.title.encode())
    request.setHeader(b"content-type", CONTENT_TYPE)
    request.setHeader(b"content-length", b"%d" % len(body))
    if answer.status == UNAUTHORIZED and not request.responseHeaders.hasHeader(b"www-authenticate"):
        # RFC 9110: 401 names the scheme
        request.setHeader(b"www-authenticate", b'Bearer realm="deployer"')
    if answer.status in TRY_AGAIN or isinstance(error, errors.InFlightError):
        after_s = error.after_s if isinstance(error, errors.TooManyError) else RETRY_AFTER_S
        request.setHeader(b"retry-after", b"%d" % max(1, math.ceil(after_s)))
    return body


def request_id(request: Request) -> str:
    """The id that this request has in answers and logs."""
    values = request.responseHeaders.getRawHeaders("x-request-id", [""])
    return values[0]


def _title(status: int) -> str:
    return HTTPStatus(status).phrase
