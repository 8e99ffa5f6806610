"""Answers that go on: chunks are written as fast as the reader takes them, and no faster."""

from collections.abc import AsyncIterator
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.web.http import Request


class _Tap:
    """The producer of a response: open or shut by the transport."""

    def __init__(self) -> None:
        self._shut: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """The reader is behind."""
        if self._shut is None:
            self._shut = Deferred()

    def resumeProducing(self) -> None:
        """The reader has caught up."""
        shut, self._shut = self._shut, None
        if shut is not None:
            shut.callback(None)

    def stopProducing(self) -> None:
        """The reader has left; Klein cancels the handler."""
        self.resumeProducing()

    async def opened(self) -> None:
        """Wait until the reader takes more."""
        if self._shut is not None:
            await self._shut


async def send(request: Request, content_type: str, chunks: AsyncIterator[bytes]) -> None:
    """Write chunks until there are no more; the reader's pace is kept."""
    request.setHeader(b"content-type", content_type.encode())
    request.setHeader(b"x-accel-buffering", b"no")
    tap = _Tap()
    request.registerProducer(cast("Any", tap), True)
    try:
        if request.method != b"HEAD":
            async for chunk in chunks:
                request.write(chunk)
                await tap.opened()
    finally:
        if request.channel is not None:  # else the reader has left
            request.unregisterProducer()
        await chunks.aclose()  # type: ignore[attr-defined]  # a generator
    request.finish()
