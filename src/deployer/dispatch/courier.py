"""Tells webhooks of events: at least once each, in order, until somebody has said that it has them.

Any master tells what is due. A webhook is told at most a hundred events together; what could not be told is tried
again, later each time, up to an hour; what could not be told for a day is left out, and counted.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.clock import Clock, WallClock, epoch_ms
from deployer.kit.http.outgoing import Undelivered
from deployer.kit.inflight import Inflight
from deployer.model.events import is_wanted
from deployer.model.webhooks import PATIENCE_MS, Destination, retry_s, signature
from deployer.protocol.ids import new_id
from deployer.stores.events import Event, Events
from deployer.stores.webhooks import Delivery, Outcome, Taken, Webhook, Webhooks

AT_ONCE: Final = 20
TOGETHER: Final = 100
LOOK_MS: Final = 1000
GONE: Final = 410


class Sender(Protocol):
    """Posts to where a URL leads."""

    async def post(self, url: str, host: str, port: int, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer; Undelivered without one."""


class Post(Struct, frozen=True):
    """How events are told: who sends, where a URL leads (ValueError: nowhere), how an event looks to clients."""

    sender: Sender
    destination: Callable[[str], Destination]
    form: Callable[[Event], Struct]
    version: str


class Courier:
    """Looks at webhooks that are due."""

    log = Logger()

    def __init__(self, webhooks: Webhooks, events: Events, post: Post, clock: Clock, wall: WallClock) -> None:
        self._webhooks = webhooks
        self._events = events
        self._post = post
        self._clock = clock
        self._wall = wall
        self._inflight = Inflight()
        self.delivered = 0
        self.failed = 0

    async def round(self) -> bool:
        """Begin to look at one; whether there was one, and may be another."""
        if len(self._inflight) >= AT_ONCE or (taken := await self._webhooks.take()) is None:
            return False
        self._inflight.spawn("telling a webhook", self._look(taken))
        return True

    async def settled(self) -> None:
        """Wait until what is being told has been, or could not be."""
        await self._inflight.settled()

    async def stop(self) -> None:
        """Tell nothing more."""
        await self._inflight.cancel()

    async def _look(self, taken: Taken) -> None:
        try:
            webhook = await self._webhooks.look(taken)
            await self._webhooks.leave(taken, None if webhook is None else await self._tell(taken, webhook))
        except (UnavailableError, NoSpaceError):
            return  # the lease ends, and somebody looks again

    async def _tell(self, taken: Taken, webhook: Webhook) -> Outcome:
        page = await self._events.after(taken.company, webhook.cursor, TOGETHER)
        wanted = [one for one in page.events if is_wanted(webhook.wanted.events, one.type)]
        again_ms = 0 if page.entries == TOGETHER else LOOK_MS
        if not wanted:
            return Outcome(cursor=page.place, again_ms=again_ms, failures=webhook.failures, since=webhook.since)
        delivery = await self._deliver(webhook, wanted)
        if delivery.error is None:
            self.delivered += len(wanted)
            return Outcome(cursor=page.place, again_ms=again_ms, told=len(wanted), delivery=delivery)
        self.failed += 1
        self.log.warn("webhook {webhook}: {error}", webhook=webhook.wanted.id, error=delivery.error)
        return self._after_failure(webhook, page.place, len(wanted), delivery)

    def _after_failure(self, webhook: Webhook, place: str, count: int, delivery: Delivery) -> Outcome:
        failures, since = webhook.failures + 1, webhook.since or delivery.at
        usual: dict[str, Any] = {"failures": failures, "again_ms": int(retry_s(failures) * 1000), "delivery": delivery}
        if delivery.status == GONE:
            return Outcome(cursor=webhook.cursor, since=since, is_gone=True, **usual)
        if delivery.at - since > PATIENCE_MS:
            return Outcome(cursor=place, since=delivery.at, lost=count, **usual)
        return Outcome(cursor=webhook.cursor, since=since, **usual)

    async def _deliver(self, webhook: Webhook, events: Sequence[Event]) -> Delivery:
        at, begun, id_ = epoch_ms(self._wall), self._clock.seconds(), new_id(self._wall())
        body = _encode({"webhook": webhook.wanted.id, "delivery": id_, "events": [self._post.form(e) for e in events]})
        status, error = None, None
        try:
            status = await self._send(webhook, id_, body, at)
            error = None if 200 <= status < 300 else f"it answered {status}"  # noqa: PLR2004 (successes)
        except (Undelivered, ValueError) as trouble:
            error = str(trouble)
        took = int((self._clock.seconds() - begun) * 1000)
        return Delivery(id=id_, at=at, time=took, events=len(events), status=status, error=error)

    async def _send(self, webhook: Webhook, id_: str, body: bytes, at: int) -> int:
        url = webhook.wanted.url
        where = self._post.destination(url)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"deployer/{self._post.version}",
            "X-Deployer-Delivery": id_,
            "X-Deployer-Signature": signature(webhook.secret, at // 1000, body),
        }
        return await self._post.sender.post(url, where.host, where.port, headers, body)


_encode = msgspec.json.Encoder().encode
