"""The master's whole HTTP side in the test's reactor, on a loopback port, over the real Redis; and clients for it."""

import ipaddress
import json
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import treq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.endpoints import serverFromString
from twisted.web.client import Agent as HttpAgent
from twisted.web.client import HTTPConnectionPool

from deployer.assembly.core import Ground, build_core, build_planning
from deployer.assembly.site import build_site
from deployer.assembly.webhooks import build_courier
from deployer.kit.clock import sleep
from deployer.kit.wake import Hub
from deployer.model.access import Role
from deployer.model.series import Datum
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import public_text, sign
from deployer.protocol.wire import MEDIA_TYPE, session_text
from deployer.rest.meter import Meter
from deployer.stores import keys
from deployer.stores.connection import DEADLINE_S, NO_LOGIN, Login
from deployer.stores.installation import Installation
from deployer.stores.master_key import MasterKey
from deployer.stores.subscriber import Subscriber
from deployer.stores.tokens import USER, Token, Tokens
from support.memory_source import MemorySource
from support.seeded import AGENT, COMPANY, Seeded


class Reply:
    """One answer, read whole."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None

    @property
    def code(self) -> str:
        """The problem's code; there must be one."""
        assert self.header("content-type") == "application/problem+json", self.body
        assert self.json["status"] == self.status
        return str(self.json["type"]).rpartition("#")[2]

    @property
    def pointers(self) -> list[str]:
        """Where the problem is."""
        return [fault["pointer"] for fault in self.json.get("errors", [])]


class Served:
    """A master without its process: site, hub, subscriber."""

    def __init__(
        self,
        seeded: Seeded,
        reactor: Any,
        endpoint: Any,
        *,
        key: MasterKey | None = None,
        deadline_s: float = DEADLINE_S,
        login: Login = NO_LOGIN,
    ) -> None:
        """`endpoint`, `deadline_s`, `login`: of the subscriber."""
        self.seeded = seeded
        self.hub = Hub(reactor)
        self._plans = Hub(reactor)  # of its own: tests count who waits at the other one
        self.memory = 0.0
        self.waiting_room = False
        self.webhook_networks = (ipaddress.ip_network("127.0.0.0/8"),)
        self.numbers: dict[str, list[Datum]] = {}
        self.store_trouble: Exception | None = None
        self.source = MemorySource({})
        self.meter = Meter(reactor)
        self.key = key or MasterKey(Ed25519PrivateKey.generate())
        self.clock = reactor
        self.subscriber = Subscriber(
            endpoint,
            reactor,
            channels=(keys.WAKE, keys.DONE, keys.LOGGED),
            heard=self._heard,
            subscribed=self.hub.wake_all,
            deadline_s=deadline_s,
            login=login,
        )
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._http: Any = HttpAgent(reactor, pool=self._pool)
        self._port: Any = None
        self._planning: Any = None

    def _heard(self, channel: str, text: str) -> None:
        for hub in (self.hub, self._plans):
            hub.heard(channel, text)

    async def keep(self, company: str, data: Sequence[Datum]) -> None:
        """Stand for a metric store."""
        if self.store_trouble is not None:
            raise self.store_trouble
        self.numbers.setdefault(company, []).extend(data)

    async def start(self) -> None:
        """Listen."""
        ground = Ground(
            redis=self.seeded.redis,
            key=self.key,
            installation=Installation(COMPANY, self.key.public),
            hub=self.hub,
            clock=self.clock,
            wall=time.time,
            memory=lambda: self.memory,
            meter=self.meter,
            waiting_room=self.waiting_room,
            webhook_networks=self.webhook_networks,
            source=self.source,
            store=self.keep,
            posted=self.keep,
        )
        self.subscriber.start()
        endpoint = serverFromString(self.clock, "tcp:0:interface=127.0.0.1")
        self.core = build_core(ground)
        self._ground = ground
        self.courier = build_courier(ground)
        self._planning = build_planning(self.core, self._plans)
        self._planning.startService()
        self._port = await endpoint.listen(build_site(ground, self.core))

    def courier_without_networks(self) -> None:
        """Have one that may tell public addresses only."""
        self.courier = build_courier(
            msgspec.structs.replace(self._ground, webhook_networks=(), meter=Meter(self.clock))
        )

    async def stop(self) -> None:
        """Close everything."""
        await self._planning.stopService()
        await self.courier.stop()
        await self._pool.closeCachedConnections()
        await self._port.stopListening()
        await self.subscriber.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port.getHost().port}"

    async def ask(self, method: str, path: str, **more: Any) -> Reply:
        """One request as the admin; `token=None` for nobody, `json=`, `data=`, `headers=` as treq has them."""
        headers = dict(more.pop("headers", {}))
        token = more.pop("token", self.seeded.admin.text)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        response = await treq.request(method, self.url + path, headers=headers, agent=self._http, **more)
        return Reply(response.code, response.headers, await response.content())

    async def token_of(self, user: str, role: Role, company: str = COMPANY) -> str:
        """A token of a user, who is made with this role or given it."""
        token = Token.new(USER)
        await Tokens(self.seeded.redis).add_user_token(token, company, user, role)
        return token.text

    async def stream(self, path: str, headers: dict[str, str], collector: Any) -> None:
        """Follow an event stream as the admin to its end."""
        all_headers: Any = {
            "Authorization": f"Bearer {self.seeded.admin.text}",
            "Accept": "text/event-stream",
            **headers,
        }
        response = await treq.get(self.url + path, headers=all_headers, agent=self._http, unbuffered=True)
        assert response.code == 200
        await treq.collect(response, collector)

    async def submit(self, **fields: Any) -> Reply:
        """POST a job; a ping of 1:1 unless the fields say otherwise."""
        return await self.ask("POST", "/api/v1/jobs", json={"cmd": "ping", "target": "1:1", **fields})

    async def submit_and_wait(self, **fields: Any) -> Reply:
        """POST a job and wait for its end in the same call."""
        return await self.ask("POST", "/api/v1/jobs?wait=30", json={"cmd": "ping", "target": "1:1", **fields})

    async def until(self, condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
        """Let the reactor run until the condition holds."""
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            await sleep(self.clock, 0.01)

    def begin(self, path: str, token: str | None = None) -> socket.socket:
        """Ask for an event stream on a socket of its own, to be closed by the test."""
        raw = socket.create_connection(("127.0.0.1", self._port.getHost().port))
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
        raw.sendall(f"{head}Authorization: Bearer {token or self.seeded.admin.text}\r\n\r\n".encode())
        return raw


class WireAgent:
    """An agent that speaks protocol/wire.py and runs nothing."""

    def __init__(self, served: Served, agent: AgentId = AGENT) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.agent = agent
        self.instance = "f" * 32
        self.session = ""
        self._served = served

    @property
    def public(self) -> str:
        """Its public key."""
        return public_text(self.key.public_key())

    async def join(self, token: str, **more: Any) -> Reply:
        """Join with a token."""
        body = {"token": token, "public_key": self.public, "hostname": "h", "gid": 1, "nid": self.agent.nid, **more}
        return await self._post("/agent/v1/join", body, token=None)

    async def open(self, **more: Any) -> Reply:
        """Open a session."""
        challenge = (await self._served.ask("GET", "/agent/v1/challenge", token=None)).json["challenge"]
        body = {
            "gid": self.agent.gid,
            "nid": self.agent.nid,
            "instance": self.instance,
            "challenge": challenge,
            "signature": sign(self.key, session_text(self.agent, self.instance, challenge)),
            **more,
        }
        reply = await self._post("/agent/v1/session", body, token=None)
        self.session = reply.json.get("session", self.session)
        return reply

    async def poll(self, count: int = 100, wait_s: float | None = None) -> list[dict[str, Any]]:
        """The signed commands that a poll brings, decoded."""
        wait = "" if wait_s is None else f"&wait={wait_s}"
        reply = await self._served.ask("GET", f"/1/{self.agent.nid}/cmd?n={count}{wait}", token=self.session)
        assert reply.status == 200, reply.body
        return [json.loads(one["payload"]) for one in reply.json["commands"]]

    async def post(self, route: str, body: object) -> Reply:
        """Post to one of the agent's routes."""
        return await self._post(f"/{self.agent.gid}/{self.agent.nid}/{route}", body, token=self.session)

    async def run(self, job: str, **result: Any) -> None:
        """Accept a task and finish it."""
        assert (await self.post("accept", {"accepted": [job]})).json == {"verdicts": ["START"]}
        done = {"id": job, "state": "OK", **result}
        assert (await self.post("result", {"results": [done]})).json == {"receipts": ["OK"]}

    async def _post(self, path: str, body: object, token: str | None) -> Reply:
        data = msgspec.json.encode(body)
        return await self._served.ask("POST", path, data=data, token=token, headers={"Content-Type": MEDIA_TYPE})
