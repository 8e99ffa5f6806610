"""A company's events as they come, on any master, from any place."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from deployer.kit.clock import sleep
from deployer.kit.wake import LOOK_AGAIN_S, Hub
from deployer.stores import keys
from deployer.stores.events import Event, Events, Page

A_READ: Final = 500
TOGETHER_S: Final = 0.06
"""Followers are woken once in 50 ms, by the first of those events that come together; the rest is there after this."""


class EventFeed:
    """Reads and follows."""

    def __init__(self, events: Events, hub: Hub) -> None:
        self._events = events
        self._hub = hub

    async def page(self, company: str, place: str, count: int) -> Page:
        """What is among the next `count` entries behind a place, oldest first."""
        return await self._events.after(company, place, count)

    async def newest(self, company: str, place: str, count: int) -> Page:
        """What is among the `count` entries in front of a place (empty: the end), newest first."""
        return await self._events.before(company, place, count)

    async def is_gap(self, company: str, place: str) -> bool:
        """Whether events behind a place may have gone already."""
        return await self._events.is_gap(company, place)

    async def last(self, company: str) -> str:
        """The place of the newest event."""
        return await self._events.last(company)

    async def follow(self, company: str, place: str) -> AsyncIterator[Sequence[Event]]:
        """All events behind a place as they come; an empty list every 15 s of silence."""
        with self._hub.waiter((keys.WAKE, keys.events(company))) as waiter:
            is_late = True
            while not self._hub.closed:  # whoever reads goes on elsewhere, from the last place
                while (page := await self._events.after(company, place, A_READ)).entries:
                    place = page.place
                    yield page.events
                if is_late:  # of what comes now somebody else may have been told
                    is_late = False
                    await sleep(self._hub.clock, TOGETHER_S)
                elif await waiter.wait(LOOK_AGAIN_S):
                    waiter.seen()
                    is_late = True
                else:
                    yield []
