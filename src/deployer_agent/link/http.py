"""Requests to the master: bounded in time and size, of our media type only, never redirected."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from deployer.kit.clock import Clock
from deployer.protocol.wire import MEDIA_TYPE, Problem, encode

T = TypeVar("T")
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
POST_S: Final = 20.0
_OK: Final = 200
_BROKEN = (ResponseFailed, ResponseNeverReceived, ConnectError, ConnectionClosed, DNSLookupError, ConnectTimeoutError)


class LinkError(Exception):
    """The master cannot be reached or does not speak our language: try again later."""


class RefusedByMaster(Exception):  # noqa: N818 (it says who did what)
    """The master's answer is an error of ours: its status and its code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class MasterHttp:
    """One master's routes. `agent` is the web client with its pool of connections."""

    def __init__(self, url: str, agent: Any, clock: Clock) -> None:
        self._url = url.rstrip("/")
        self._agent = agent
        self._clock = clock

    async def ask(
        self,
        method: str,
        path: str,
        answer: Callable[[bytes], T],
        *,
        body: msgspec.Struct | None = None,
        token: str | None = None,
        timeout_s: float = POST_S,
    ) -> T:
        """One request and its decoded answer; LinkError or RefusedByMaster."""
        headers: Any = {"Accept": MEDIA_TYPE}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = MEDIA_TYPE
        work = Deferred.fromCoroutine(self._exchange(method, path, headers, None if body is None else encode(body)))
        work.addTimeout(timeout_s, self._clock, onTimeoutCancel=_too_late)  # type: ignore[arg-type]  # a part of IReactorTime
        status, kind, raw = await work
        if status != _OK:
            raise _refusal(status, raw)
        if kind != MEDIA_TYPE:
            raise LinkError(f"{method} {path} was answered with {kind!r}: is this a Deployer master?")
        try:
            return answer(raw)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise LinkError(f"{method} {path} was answered with something unreadable: {error}") from None

    async def _exchange(self, method: str, path: str, headers: Any, data: bytes | None) -> tuple[int, str, bytes]:
        try:
            response = await treq.request(
                method,
                self._url + path,
                headers=headers,
                data=data,
                agent=self._agent,
                unbuffered=True,
                allow_redirects=False,
            )
            parts: list[bytes] = []
            await treq.collect(response, _bounded(parts))
        except _BROKEN as error:
            if _is_cancelled(error):
                raise CancelledError from None
            raise LinkError(f"the master cannot be reached: {_reason(error)}") from None
        kind = response.headers.getRawHeaders("content-type", [""])[0]
        return response.code, kind, b"".join(parts)


def _bounded(parts: list[bytes]) -> Callable[[bytes], None]:
    size = 0

    def collect(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size > MAX_ANSWER_BYTES:
            raise LinkError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        parts.append(data)

    return collect


def _too_late(result: Any, seconds: float) -> None:
    if isinstance(result, Failure):
        raise LinkError(f"no answer within {seconds:g} s")


def _refusal(status: int, raw: bytes) -> Exception:
    try:
        problem = msgspec.json.decode(raw, type=Problem)
    except (msgspec.DecodeError, UnicodeError):
        return LinkError(f"the master answers {status}")
    return RefusedByMaster(status, problem.code, problem.detail)


def _is_cancelled(error: Exception) -> bool:
    """A cancelled request fails with a list of reasons, one of them that it was cancelled."""
    return any(reason.check(CancelledError) for reason in getattr(error, "reasons", ()))


def _reason(error: Exception) -> str:
    inner = getattr(error, "reasons", None)
    return str(inner[0].value) if inner else str(error)
