"""What handlers may return beside a record: with a status and headers of its own, or bytes as they come."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct


class Answer(Struct, frozen=True):
    """A record with a status of its own and headers. `changing`: it holds more than its ETag tells of, so no 304."""

    record: Any
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    changing: bool = False


class Stream(Struct, frozen=True):
    """An answer that goes on: chunks of bytes as they come."""

    content_type: str
    chunks: AsyncIterator[bytes]

    def watched(self, is_allowed: Callable[[], Awaitable[bool]]) -> "Stream":
        """The same, which ends where a chunk comes that its reader may not have any more."""
        return Stream(self.content_type, _while_allowed(self.chunks, is_allowed))


async def _while_allowed(
    chunks: AsyncIterator[bytes], is_allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            if not await is_allowed():
                return
            yield chunk
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]  # a generator
