"""Webhooks: a real receiver is told, signed, in order, until it says so; what cannot be told; who may make them."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.protocol import Factory, Protocol
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from deployer.kit.http import outgoing
from deployer.model.access import Role
from deployer.stores import keys
from support.planned import submit
from support.seeded import COMPANY
from support.served import Reply, Served, WireAgent


class Receiver(Resource):
    """Keeps what it is told; `answers` are the next statuses, then 200."""

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        Resource.__init__(self)
        self.told: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.does: Any = None
        self._port = reactor.listenTCP(0, Site(self), interface="127.0.0.1")
        self.port = self._port.getHost().port
        self.url = f"http://localhost:{self.port}/hook?a=b"

    def render_POST(self, request: Request) -> Any:
        headers = {
            name.decode().lower(): values[0].decode() for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.told.append((headers, request.content.read()))
        if self.does is not None:
            return self.does(request)
        request.setResponseCode(self.answers.pop(0) if self.answers else 200)
        return b"thanks"

    @property
    def events(self) -> list[tuple[str, str]]:
        """What it was told, of all posts."""
        return [(one["subject"], one["state"]) for _, body in self.told for one in json.loads(body)["events"]]

    async def stop(self) -> None:
        await self._port.stopListening()


@pytest_twisted.async_yield_fixture
async def receiver(served: Served) -> AsyncIterator[Receiver]:
    made = Receiver(served.clock)
    yield made
    await made.stop()


async def make(served: Served, url: str, **more: Any) -> Reply:
    return await served.ask("POST", "/api/v1/webhooks", json={"name": "hook", "url": url, **more})


async def look(served: Served) -> None:
    """Let the courier look at all that is due, and wait until it has."""
    await served.seeded.redis.call("ZUNIONSTORE", keys.WEBHOOKS, 1, keys.WEBHOOKS, "WEIGHTS", 0)
    while await served.courier.round():
        pass
    await served.courier.settled()


async def show(served: Served, id_: str) -> Any:
    return (await served.ask("GET", f"/api/v1/webhooks/{id_}")).json


async def tries(served: Served, id_: str) -> list[Any]:
    return list((await served.ask("GET", f"/api/v1/webhooks/{id_}/deliveries")).json["items"])


async def test_what_happens_is_told_signed_and_once(served: Served, agent: WireAgent, receiver: Receiver) -> None:
    await submit(served, "before", target="1:7")
    made = await make(served, receiver.url, events=["job"])
    assert made.status == 201
    await submit(served, "a", target="1:7")
    await agent.poll(wait_s=0)
    await agent.run("a")
    await look(served)
    await look(served)
    ((headers, body),) = receiver.told
    assert receiver.events == [("a", "QUEUED"), ("a", "RUNNING"), ("a", "OK")]
    at, _, digest = headers["x-deployer-signature"].removeprefix("t=").partition(",v1=")
    secret = made.json["secret"].encode()
    assert hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest() == digest
    assert headers["host"] == f"localhost:{receiver.port}"
    assert headers["content-type"] == "application/json"
    (told,) = await tries(served, made.json["id"])
    assert (told["status"], told["events"], told["error"]) == (200, 3, None)
    assert told["id"] == headers["x-deployer-delivery"] == json.loads(body)["delivery"]
    shown = await show(served, made.json["id"])
    assert (shown["state"], shown["delivered"], shown["secret"]) == ("active", 3, None)


async def test_what_was_not_taken_is_told_again_in_order(served: Served, agent: WireAgent, receiver: Receiver) -> None:
    receiver.answers = [500, 302, 429]
    id_ = (await make(served, receiver.url)).json["id"]
    await submit(served, "a", target="1:7")
    await look(served)
    await submit(served, "b", target="1:7")
    await look(served)
    await look(served)
    assert (await show(served, id_))["state"] == "failing"
    assert (await show(served, id_))["failures"] == 3
    assert [one["status"] for one in await tries(served, id_)] == [429, 302, 500]
    await look(served)
    assert receiver.events[-2:] == [("a", "QUEUED"), ("b", "QUEUED")]
    shown = await show(served, id_)
    assert (shown["state"], shown["failures"], shown["delivered"], shown["lost"]) == ("active", 0, 2, 0)


async def test_a_failure_is_not_tried_again_at_once(served: Served, receiver: Receiver) -> None:
    receiver.answers = [500]
    await make(served, receiver.url)
    await submit(served, "a", target="1:1")
    await look(served)
    assert not await served.courier.round()
    assert len(receiver.told) == 1


async def test_who_answers_gone_is_told_no_more_until_it_is_changed(served: Served, receiver: Receiver) -> None:
    receiver.answers = [410]
    id_ = (await make(served, receiver.url)).json["id"]
    await submit(served, "a", target="1:1")
    await look(served)
    await look(served)
    assert (len(receiver.told), (await show(served, id_))["state"]) == (1, "gone")
    assert (
        await served.ask("PATCH", f"/api/v1/webhooks/{id_}", json={"paused": False}, headers={"If-Match": "*"})
    ).status == 200
    await look(served)
    assert receiver.events == [("a", "QUEUED"), ("a", "QUEUED")]


async def test_what_could_not_be_told_for_a_day_is_left_out_and_counted(served: Served, receiver: Receiver) -> None:
    receiver.answers = [500, 500]
    id_ = (await make(served, receiver.url)).json["id"]
    await submit(served, "a", target="1:1")
    await look(served)
    await served.seeded.redis.call("HSET", keys.webhook(COMPANY, id_), "since", 1000)
    await look(served)
    await submit(served, "b", target="1:1")
    await look(served)
    assert receiver.events == [("a", "QUEUED"), ("a", "QUEUED"), ("b", "QUEUED")]
    assert (await show(served, id_))["lost"] == 1


async def test_a_paused_webhook_goes_on_where_it_was(served: Served, receiver: Receiver) -> None:
    made = await make(served, receiver.url)
    path = f"/api/v1/webhooks/{made.json['id']}"
    paused = await served.ask("PATCH", path, json={"paused": True}, headers={"If-Match": str(made.header("etag"))})
    assert (paused.status, paused.json["state"]) == (200, "paused")
    await submit(served, "a", target="1:1")
    await look(served)
    assert receiver.told == []
    assert (
        await served.ask("PATCH", path, json={"paused": False}, headers={"If-Match": str(made.header("etag"))})
    ).status == 412
    await served.ask("PATCH", path, json={"paused": False}, headers={"If-Match": "*"})
    await look(served)
    assert receiver.events == [("a", "QUEUED")]
    assert (await served.ask("DELETE", path, headers={"If-Match": "*"})).status == 200
    assert (await served.ask("GET", path)).status == 404
    await submit(served, "b", target="1:1")
    await look(served)
    assert len(receiver.told) == 1


@pytest.mark.parametrize(
    ("url", "fields", "pointer"),
    [
        ("http://10.0.0.1/", {}, "/url"),
        ("http://[::1]/", {}, "/url"),
        ("http://169.254.169.254/", {}, "/url"),
        ("http://0xa9fea9fe/", {}, "/url"),
        ("gopher://example.com/", {}, "/url"),
        ("file:///etc/passwd", {}, "/url"),
        ("https://user:pass@example.com/", {}, "/url"),
        ("http://example.com:6379/", {}, "/url"),
        ("https://example.com/", {"events": []}, "/events"),
        ("https://example.com/", {"events": ["*"]}, "/events/0"),
        ("https://example.com/", {"events": ["job", "job.stat"]}, "/events/1"),
        ("https://example.com/", {"secret": "short"}, "/secret"),
        ("https://example.com/", {"name": "A b"}, "/name"),
        ("https://example.com/", {"id": "x"}, "/id"),
    ],
)
async def test_what_may_not_be_told_is_refused_when_it_is_made(
    served: Served, url: str, fields: Any, pointer: str
) -> None:
    reply = await make(served, url, **fields)
    assert (reply.status, reply.pointers) == (422, [pointer]), reply.body


async def test_a_name_that_stands_for_a_private_address_is_not_connected_to(served: Served, receiver: Receiver) -> None:
    """Whatever it stood for when it was saved (rebinding): the address is judged when it is used."""
    id_ = (await make(served, receiver.url)).json["id"]
    await submit(served, "a", target="1:1")
    served.courier_without_networks()
    await look(served)
    assert receiver.told == []
    assert "not a public address" in (await tries(served, id_))[0]["error"]


async def test_slow_and_endless_answers_are_given_up(
    served: Served, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "DEADLINE_S", 0.3)
    id_ = (await make(served, receiver.url)).json["id"]
    await submit(served, "a", target="1:1")

    def endless(request: Request) -> int:
        request.write(b"x" * 70_000)
        return NOT_DONE_YET

    receiver.does = endless
    await look(served)
    receiver.does = lambda _: NOT_DONE_YET
    await look(served)
    errors = [one["error"] for one in await tries(served, id_)]
    assert errors == ["no answer within 0.3 s", "the answer is longer than 65536 bytes"]


class _Endless(Protocol):
    """Whose headers have no end."""

    def dataReceived(self, data: bytes) -> None:
        del data
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000)


class _Rude(Protocol):
    def dataReceived(self, data: bytes) -> None:
        del data
        assert self.transport is not None
        self.transport.write(b"-ERR unknown command\r\n")


async def test_headers_without_end_are_cut(served: Served) -> None:
    port = served.clock.listenTCP(0, Factory.forProtocol(_Endless), interface="127.0.0.1")
    id_ = (await make(served, f"http://127.0.0.1:{port.getHost().port}/")).json["id"]
    await submit(served, "a", target="1:1")
    await look(served)
    (one,) = await tries(served, id_)
    assert (one["status"], one["time"] < 5000) == (None, True)
    await port.stopListening()


async def test_what_speaks_no_http_is_an_error_and_nothing_more(served: Served) -> None:
    port = served.clock.listenTCP(0, Factory.forProtocol(_Rude), interface="127.0.0.1")
    id_ = (await make(served, f"http://127.0.0.1:{port.getHost().port}/")).json["id"]
    await submit(served, "a", target="1:1")
    await look(served)
    (one,) = await tries(served, id_)
    assert one["status"] is None
    assert one["error"].startswith("it cannot be reached")
    await port.stopListening()


async def test_a_certificate_that_nobody_knows_and_a_name_that_is_none_are_errors(
    served: Served, receiver: Receiver
) -> None:
    tls = (await make(served, f"https://localhost:{receiver.port}/")).json["id"]
    name = (await make(served, "http://no-such-host.invalid/")).json["id"]
    await submit(served, "a", target="1:1")
    await look(served)
    assert (await tries(served, tls))[0]["status"] is None
    assert "is not known" in (await tries(served, name))[0]["error"]


async def test_an_operator_makes_none_and_who_may_use_some_agents_neither(served: Served) -> None:
    operator = await served.token_of("op", Role.OPERATOR)
    body = {"name": "x", "url": "https://example.com/"}
    assert (await served.ask("POST", "/api/v1/webhooks", json=body, token=operator)).status == 403
    owner = await served.token_of("ow", Role.OWNER)
    change = {"json": {"agents": ["1:1"]}, "headers": {"If-Match": "*"}}
    assert (await served.ask("PATCH", "/api/v1/users/ow", **change)).status == 200
    assert (await served.ask("POST", "/api/v1/webhooks", json=body, token=owner)).status == 403


async def test_there_are_only_so_many_and_their_secrets_are_nowhere_in_redis(served: Served) -> None:
    for _ in range(20):
        assert (await make(served, "https://example.com/", secret="CANARY-very-secret-text")).status == 201
    reply = await make(served, "https://example.com/")
    assert (reply.status, reply.code) == (409, "conflict")
    assert len((await served.ask("GET", "/api/v1/webhooks")).json["items"]) == 20
    redis = served.seeded.redis
    for key in await redis.call("KEYS", f"{keys.prefix(COMPANY)}webhook:*"):
        assert b"CANARY" not in b"".join(await redis.call("HVALS", key))
