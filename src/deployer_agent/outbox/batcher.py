"""Collecting what is to be posted: what comes while posts are in flight goes together into the next one."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from deployer.kit.inflight import Inflight

T = TypeVar("T")
A = TypeVar("A")


class Batcher(Generic[T, A]):
    """Sends items by `send`, at most `most` together and `flights` at once; each item gets its own answer."""

    def __init__(
        self, what: str, send: Callable[[Sequence[T]], Awaitable[Sequence[A]]], *, most: int, flights: int
    ) -> None:
        self._what = what
        self._send = send
        self._most = most
        self._flights = flights
        self._waiting: list[tuple[T, Deferred[A]]] = []
        self._inflight = Inflight()
        self._flying = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._flying

    async def put(self, item: T) -> A:
        """Send an item with others; its answer."""
        return await self.put_all([item])[0]

    def put_all(self, items: Sequence[T]) -> "list[Deferred[A]]":
        """Send several together; their answers."""
        dones: list[Deferred[A]] = [Deferred() for _ in items]
        self._waiting += zip(items, dones, strict=True)
        self._fly()
        return dones

    async def cancel(self) -> None:
        """Send nothing more; who waits for an answer waits in vain."""
        self._waiting.clear()
        await self._inflight.cancel()

    def _fly(self) -> None:
        while self._waiting and self._flying < self._flights:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            self._flying += 1
            self._inflight.spawn(self._what, self._flight(batch))

    async def _flight(self, batch: list[tuple[T, Deferred[A]]]) -> None:
        answers: Sequence[A | Failure]
        try:
            answers = await self._send([item for item, _ in batch])
        except Exception:  # noqa: BLE001 (whoever waits for an answer gets the failure)
            answers = [Failure()] * len(batch)
        finally:
            self._flying -= 1
        self._fly()
        for (_, done), answer in zip(batch, answers, strict=True):
            done.callback(answer)
