"""Posts what an outbox has, `width` at a time; after a failure one at a time, and each after a longer wait."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Call, Clock
from deployer.kit.inflight import Inflight
from deployer_agent.errors import LinkError
from deployer_agent.link.complaints import Complaints

P = TypeVar("P")


class Traffic(Struct, Generic[P], frozen=True):
    """What goes over a lane: taken from an outbox, posted, given back when the answer was lost."""

    what: str
    take: Callable[[], P | None]
    post: Callable[[P], Coroutine[Deferred[Any], Any, None]]
    give_back: Callable[[P], None]
    width: int = 1


class Lane(Generic[P]):
    """One kind of posts. `nudge` is what an outbox calls when it has something."""

    def __init__(self, traffic: Traffic[P], clock: Clock, complaints: Complaints) -> None:
        self._traffic = traffic
        self._clock = clock
        self._complaints = complaints
        self._backoff = Backoff()
        self._inflight = Inflight()
        self._posting = 0
        self._pause: Call | None = None
        self._closed = True

    @property
    def idle(self) -> bool:
        """Tell whether nothing is on its way."""
        return not self._posting

    def open(self) -> None:
        """Begin to post."""
        self._closed = False
        self.nudge()

    async def close(self) -> None:
        """Post no more; what is on its way is given up."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        await self._inflight.cancel()

    def nudge(self) -> None:
        """Post what there is, as far as the width allows."""
        while not self._closed and self._pause is None and self._posting < self._width():
            parcel = self._traffic.take()
            if parcel is None:
                return
            self._posting += 1
            self._inflight.spawn(f"posting {self._traffic.what}", self._carry(parcel))

    def _width(self) -> int:
        return 1 if self._backoff.failures else self._traffic.width

    async def _carry(self, parcel: P) -> None:
        try:
            await self._traffic.post(parcel)
        except BaseException as error:  # whatever it was, nothing may be lost
            self._posting -= 1
            self._traffic.give_back(parcel)
            if not isinstance(error, LinkError):
                raise
            self._failed(error)
            return
        self._posting -= 1
        self._backoff.reset()
        self._complaints.well()
        self.nudge()

    def _failed(self, error: LinkError) -> None:
        self._complaints.say(f"{self._traffic.what} could not be posted", error)
        if self._pause is None and not self._closed:
            self._pause = self._clock.callLater(self._backoff.next_delay(), self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self.nudge()
