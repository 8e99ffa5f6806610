"""Work that would hold up the reactor goes to one of its threads."""

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

T = TypeVar("T")


class Threads:
    """The reactor's pool of threads."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` returns, or raises; it must not touch anything of the reactor's."""
        done: Deferred[T] = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, *arguments)
        return await done
