"""Webhooks: who is told of events, signed, and what came of it."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.logger import Logger

from deployer.errors import ChangedError, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model.access import Caller, Permission
from deployer.model.events import unknown
from deployer.model.webhooks import Destination, EventTypes, Url
from deployer.protocol.ids import new_id
from deployer.protocol.times import iso
from deployer.rest.answers import Answer
from deployer.rest.conditional import Match, etag
from deployer.rest.endpoint import endpoint
from deployer.rest.references import UserReference, user_reference
from deployer.stores.webhooks import Delivery, Wanted, Webhook, Webhooks

TRIES = 10
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z")]
Secret = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{16,200}\Z", description="16 to 200 printable characters")]


class WebhookRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be told of which events (`job` for all of its kind). Without a `secret` one is made."""

    name: Name
    url: Url
    events: EventTypes = msgspec.field(default_factory=lambda: ["job.state"])
    secret: Secret | None = None


class WebhookChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; what is left out stays. Any change begins to try again at once."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    events: EventTypes | UnsetType = UNSET
    paused: bool | UnsetType = UNSET
    secret: Secret | UnsetType = UNSET


class WebhookAnswer(Struct, frozen=True, kw_only=True):
    """A webhook as clients see it. `lost`: events that could not be told for a day; `secret` is shown when it is made.

    `state`: `gone` when it answered 410, which is not tried again.
    """

    id: str
    href: str
    name: str
    url: str
    events: list[str]
    paused: bool
    state: Literal["active", "paused", "failing", "gone"]
    failures: int
    delivered: int
    lost: int
    user: UserReference
    created: str
    secret: str | None


class WebhookList(Struct, frozen=True):
    """All of a company."""

    items: list[WebhookAnswer]


class DeliveryAnswer(Struct, frozen=True, kw_only=True):
    """A try to tell: how many events, how long it took (ms), the status of the answer or what was wrong."""

    id: str
    at: str
    events: int
    time: int
    status: int | None
    error: str | None


class DeliveryList(Struct, frozen=True):
    """The last twenty, newest first."""

    items: list[DeliveryAnswer]


class RemovedWebhook(Struct, frozen=True):
    """It is told no longer."""

    id: str


class WebhookRoutes:
    """`/api/v1/webhooks`. `begin`: a company's newest event; `destination`: ValueError for what may not be."""

    log = Logger()

    def __init__(
        self,
        webhooks: Webhooks,
        begin: Callable[[str], Awaitable[str]],
        destination: Callable[[str], Destination],
        wall: WallClock,
    ) -> None:
        self._webhooks = webhooks
        self._begin = begin
        self._destination = destination
        self._wall = wall

    @endpoint("GET", "/api/v1/webhooks", needs=Permission.MANAGE, returns=WebhookList)
    async def list_all(self, caller: Caller) -> WebhookList:
        """The company's webhooks."""
        _require_all_agents(caller)
        return WebhookList([_answer(one) for one in await self._webhooks.listed(caller.company)])

    @endpoint(
        "POST",
        "/api/v1/webhooks",
        needs=Permission.MANAGE,
        returns=WebhookAnswer,
        body=WebhookRequest,
        statuses=(201,),
    )
    async def make(self, caller: Caller, body: WebhookRequest) -> Answer:
        """Tell somebody of events from now on."""
        _require_all_agents(caller)
        self._require_url(body.url)
        _require_types(body.events)
        secret = body.secret or f"whs_{secrets.token_urlsafe(32)}"
        wanted = Wanted(
            id=new_id(self._wall()),
            name=body.name,
            url=body.url,
            events=body.events,
            is_paused=False,
            user=caller.user,
            created=epoch_ms(self._wall),
        )
        await self._webhooks.put(caller.company, wanted, secret, await self._begin(caller.company))
        self.log.warn("audit: user {user} makes webhook {webhook}", user=caller.user, webhook=wanted.id)
        return _shown(await self._webhooks.webhook(caller.company, wanted.id), 201, secret)

    @endpoint("GET", "/api/v1/webhooks/<webhook>", needs=Permission.MANAGE, returns=WebhookAnswer)
    async def show(self, caller: Caller, webhook: str) -> Answer:
        """One webhook."""
        return _shown(await self._known(caller, webhook))

    @endpoint("GET", "/api/v1/webhooks/<webhook>/deliveries", needs=Permission.MANAGE, returns=DeliveryList)
    async def deliveries(self, caller: Caller, webhook: str) -> DeliveryList:
        """What came of the last tries."""
        known = await self._known(caller, webhook)
        found = await self._webhooks.deliveries(caller.company, known.wanted.id)
        return DeliveryList([_delivery(one) for one in found])

    @endpoint(
        "PATCH",
        "/api/v1/webhooks/<webhook>",
        needs=Permission.MANAGE,
        returns=WebhookAnswer,
        body=WebhookChange,
        conditional=True,
    )
    async def change(self, caller: Caller, webhook: str, body: WebhookChange, match: Match) -> Answer:
        """Change it, pause it, let it go on."""
        if body.url is not UNSET:
            self._require_url(body.url)
        if body.events is not UNSET:
            _require_types(body.events)
        for _ in range(TRIES):
            known = await self._known(caller, webhook)
            match.require(known.version)
            secret = "" if body.secret is UNSET else body.secret
            try:
                await self._webhooks.put(caller.company, _changed(known.wanted, body), secret, "", known.version)
            except ChangedError:
                continue
            self.log.warn("audit: user {user} changes webhook {webhook}", user=caller.user, webhook=webhook)
            return _shown(await self._known(caller, webhook))
        raise UnavailableError("this webhook changes too fast; try again in a moment")

    @endpoint(
        "DELETE",
        "/api/v1/webhooks/<webhook>",
        needs=Permission.MANAGE,
        returns=RemovedWebhook,
        conditional=True,
    )
    async def remove(self, caller: Caller, webhook: str, match: Match) -> RemovedWebhook:
        """Tell it no longer."""
        for _ in range(TRIES):
            known = await self._known(caller, webhook)
            match.require(known.version)
            try:
                await self._webhooks.drop(caller.company, known)
            except ChangedError:
                continue
            self.log.warn("audit: user {user} removes webhook {webhook}", user=caller.user, webhook=webhook)
            return RemovedWebhook(known.wanted.id)
        raise UnavailableError("this webhook changes too fast; try again in a moment")

    async def _known(self, caller: Caller, webhook: str) -> Webhook:
        if len(webhook) != 32 or not webhook.isascii() or not webhook.isalnum():  # noqa: PLR2004 (ids.new_id)
            raise NotFoundError("this webhook does not exist")
        _require_all_agents(caller)
        return await self._webhooks.webhook(caller.company, webhook)

    def _require_url(self, url: str) -> None:
        try:
            self._destination(url)
        except ValueError as error:
            raise InvalidError("/url", str(error)) from None


def _require_types(types: list[str]) -> None:
    for number, one in enumerate(types):
        if (trouble := unknown([one])) is not None:
            raise InvalidError(f"/events/{number}", trouble)


def _require_all_agents(caller: Caller) -> None:
    if caller.agents is not None:
        raise ForbiddenError("a webhook is told of all agents, and you may use some only")


def _changed(wanted: Wanted, body: WebhookChange) -> Wanted:
    names = {"name": "name", "url": "url", "events": "events", "paused": "is_paused"}
    given = {names[name]: its for name in names if (its := getattr(body, name)) is not UNSET}
    return msgspec.structs.replace(wanted, **given)


def _shown(webhook: Webhook, status: int = 200, secret: str | None = None) -> Answer:
    answer = _answer(webhook, secret)
    return Answer(answer, status, (etag(webhook.version), ("location", answer.href)), changing=True)


def _answer(webhook: Webhook, secret: str | None = None) -> WebhookAnswer:
    wanted = webhook.wanted
    return WebhookAnswer(
        id=wanted.id,
        href=f"/api/v1/webhooks/{wanted.id}",
        name=wanted.name,
        url=wanted.url,
        events=list(wanted.events),
        paused=wanted.is_paused,
        state=_state(webhook),
        failures=webhook.failures,
        delivered=webhook.delivered,
        lost=webhook.lost,
        user=user_reference(wanted.user),
        created=iso(wanted.created),
        secret=secret,
    )


def _state(webhook: Webhook) -> Literal["active", "paused", "failing", "gone"]:
    if webhook.is_gone:
        return "gone"
    if webhook.wanted.is_paused:
        return "paused"
    return "failing" if webhook.failures else "active"


def _delivery(one: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=one.id, at=iso(one.at), events=one.events, time=one.time, status=one.status, error=one.error
    )
