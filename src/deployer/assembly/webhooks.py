"""Webhooks: their routes, and who tells them."""

from functools import partial

from deployer.assembly.core import Ground
from deployer.dispatch.courier import Courier, Post
from deployer.kit.http.outgoing import Outgoing
from deployer.kit.threads import Threads
from deployer.kit.version import own_version
from deployer.model.webhooks import destination, require_allowed
from deployer.rest.events import event_answer
from deployer.rest.webhooks import WebhookRoutes
from deployer.stores.events import Events
from deployer.stores.webhooks import Webhooks


def build_routes(ground: Ground) -> WebhookRoutes:
    """How people make them."""
    where = partial(destination, allowed=ground.webhook_networks)
    return WebhookRoutes(_store(ground), Events(ground.redis).last, where, ground.wall)


def build_courier(ground: Ground) -> Courier:
    """Who tells them of events."""
    networks = ground.webhook_networks
    sender = Outgoing(ground.clock, Threads(ground.clock), partial(require_allowed, allowed=networks))
    post = Post(sender, partial(destination, allowed=networks), event_answer, own_version())
    courier = Courier(_store(ground), Events(ground.redis), post, ground.clock, ground.wall)
    ground.meter.watch_counts(
        "webhooks",
        "Events told to webhooks, and tries that failed",
        "what",
        lambda: {"told": courier.delivered, "failed": courier.failed},
    )
    return courier


def _store(ground: Ground) -> Webhooks:
    return Webhooks(ground.redis, ground.key.secret("webhooks"))
