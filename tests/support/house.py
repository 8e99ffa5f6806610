"""A master's HTTP side with an agent and a job, of which every route is asked while Redis is in trouble."""

import time
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred

from deployer.kit.clock import sleep
from deployer.protocol.ids import AgentId
from deployer.stores.connection import DEADLINE_S, NO_LOGIN, Login
from deployer.stores.redis import Redis
from support.hosts import HOST
from support.seeded import Seeded
from support.served import Reply, Served, WireAgent

JOB = {"cmd": "ping", "target": "1:7", "id": "lost"}
MESSAGES = {"boot": "0" * 32, "seq": 9, "groups": []}
NUMBERS = {"boot": "0" * 32, "seq": 9, "flushes": []}
NO_TOKEN = "0" * 16

ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/api/v1/user", None),
    ("GET", "/api/v1/audit", None),
    ("GET", "/api/v1/audit/verify", None),
    ("GET", "/api/v1/audit/export", None),
    ("GET", "/api/v1/masters", None),
    ("GET", "/api/v1/masters/none", None),
    ("GET", "/api/v1/masters/none/exceptions", None),
    ("GET", "/api/v1/companies", None),
    ("POST", "/api/v1/companies", {"name": "lost"}),
    ("GET", "/api/v1/companies/nobodys", None),
    ("PATCH", "/api/v1/companies/nobodys", {"description": "x"}),
    ("DELETE", "/api/v1/companies/nobodys", None),
    ("POST", "/api/v1/companies/nobodys/grids", {"gid": 1}),
    ("GET", "/api/v1/users", None),
    ("POST", "/api/v1/users", {"name": "lost", "role": "viewer"}),
    ("GET", "/api/v1/users/nobody", None),
    ("PATCH", "/api/v1/users/nobody", {"role": "viewer"}),
    ("DELETE", "/api/v1/users/nobody", None),
    ("PUT", "/api/v1/users/nobody/password", {"password": "a" * 20}),
    ("POST", "/api/v1/session", {"user": "nobody", "password": "a" * 20}),
    ("GET", "/api/v1/session", None),
    ("DELETE", "/api/v1/session", None),
    ("GET", "/api/v1/tokens", None),
    ("POST", "/api/v1/tokens", {"name": "lost"}),
    ("DELETE", f"/api/v1/tokens/{NO_TOKEN}", None),
    ("GET", "/api/v1/join-tokens", None),
    ("POST", "/api/v1/join-tokens", {"name": "lost"}),
    ("DELETE", f"/api/v1/join-tokens/{NO_TOKEN}", None),
    ("GET", "/api/v1/agent-requests", None),
    ("POST", f"/api/v1/agent-requests/{'0' * 64}/accept", {}),
    ("POST", f"/api/v1/agent-requests/{'0' * 64}/reject", None),
    ("DELETE", "/api/v1/agents/1:99", None),
    ("GET", "/api/v1/agents", None),
    ("GET", "/api/v1/agents/1:7", None),
    ("GET", "/api/v1/agents/1:7/stats", None),
    ("GET", "/api/v1/metrics?target=a.*", None),
    ("GET", "/api/v1/metrics/find?query=*", None),
    ("PATCH", "/api/v1/agents/1:7", {"rack": "r1"}),
    ("PATCH", "/api/v1/hosts/1:7", {"rack": "r1"}),
    ("GET", "/api/v1/agents/1:7/activity", None),
    ("GET", "/api/v1/agents/1:7/tasks", None),
    ("GET", "/api/v1/hosts", None),
    ("GET", "/api/v1/hosts/1:7", None),
    ("GET", "/api/v1/hosts/1:7/facts", None),
    ("GET", "/api/v1/hosts/1:7/history", None),
    ("POST", "/api/v1/jobs", JOB),
    ("POST", "/api/v1/jobs?wait=1", JOB),
    ("GET", "/api/v1/jobs", None),
    ("GET", "/api/v1/jobs/there", None),
    ("GET", "/api/v1/jobs/there?wait=1", None),
    ("DELETE", "/api/v1/jobs/doomed", None),
    ("GET", "/api/v1/jobs/there/tasks", None),
    ("GET", "/api/v1/jobs/there/tasks/1:7/runs", None),
    ("GET", "/api/v1/jobs/there/log", None),
    ("GET", "/api/v1/logs", None),
    ("GET", "/api/v1/logs?host=1:7&level=1&text=x", None),
    ("GET", "/api/v1/processes", None),
    ("GET", "/api/v1/processes?state=ended", None),
    ("GET", "/api/v1/processes/there@1:7.1", None),
    ("GET", "/api/v1/monitors", None),
    ("POST", "/api/v1/monitors", {"name": "m", "agent": "1:7", "processes": [{"job": "there"}]}),
    ("GET", f"/api/v1/monitors/{'0' * 32}", None),
    ("PATCH", f"/api/v1/monitors/{'0' * 32}", {"name": "n"}),
    ("DELETE", f"/api/v1/monitors/{'0' * 32}", None),
    ("GET", f"/api/v1/monitors/{'0' * 32}/consumption", None),
    ("PATCH", "/api/v1/jobs/there", {"priority": 1}),
    ("POST", "/api/v1/jobs/there/tasks", {"target": "1:7"}),
    ("POST", "/api/v1/jobs/there/rerun", {}),
    ("GET", "/api/v1/jobs/there/children", None),
    ("GET", "/api/v1/events", None),
    ("GET", "/api/v1/webhooks", None),
    ("POST", "/api/v1/webhooks", {"name": "w", "url": "https://example.com/"}),
    ("GET", f"/api/v1/webhooks/{'0' * 32}", None),
    ("PATCH", f"/api/v1/webhooks/{'0' * 32}", {"paused": True}),
    ("DELETE", f"/api/v1/webhooks/{'0' * 32}", None),
    ("GET", f"/api/v1/webhooks/{'0' * 32}/deliveries", None),
    ("GET", "/api/v1/schedules", None),
    ("POST", "/api/v1/schedules", {"name": "s", "every_s": 60, "job": {"cmd": "ping", "target": "1:7"}}),
    ("GET", f"/api/v1/schedules/{'0' * 32}", None),
    ("PATCH", f"/api/v1/schedules/{'0' * 32}", {"paused": True}),
    ("DELETE", f"/api/v1/schedules/{'0' * 32}", None),
    ("GET", f"/api/v1/schedules/{'0' * 32}/firings", None),
    ("POST", f"/api/v1/schedules/{'0' * 32}/run", None),
    ("GET", "/api/v1/scripts", None),
    ("PUT", "/api/v1/scripts/d/n", "text"),
    ("GET", "/api/v1/scripts/d/n", None),
    ("DELETE", "/api/v1/scripts/d/n", None),
]
AGENT_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "cmd", None),
    ("POST", "accept", {"accepted": ["there"]}),
    ("POST", "log", MESSAGES),
    ("POST", "result", {"results": [{"id": "there", "state": "OK"}], "runs": [{"id": "there", "state": "OK"}]}),
    ("GET", "script?domain=d&name=n&sha256=x", None),
    ("POST", "stats", NUMBERS),
    ("POST", "facts", msgspec.to_builtins(HOST)),
    ("POST", "processes", {"processes": []}),
]


class House:
    """The master, its agent 1:7 and two jobs that wait: `there`, and `doomed`, which is asked to be cancelled."""

    def __init__(
        self, redis: Redis, reactor: Any, endpoint: Any, deadline_s: float = DEADLINE_S, login: Login = NO_LOGIN
    ) -> None:
        """`endpoint`, `deadline_s`, `login`: of the subscriber."""
        self.redis = redis
        self.seeded = Seeded(redis)
        self.served = Served(self.seeded, reactor, endpoint, deadline_s=deadline_s, login=login)
        self.agent = WireAgent(self.served, AgentId(1, 7))

    async def start(self) -> None:
        """Install, serve, join, submit."""
        await self.seeded.install()
        await self.served.start()
        assert (await self.agent.join(self.seeded.join_token.text)).status == 200
        assert (await self.agent.open()).status == 200
        for job in ("there", "doomed"):
            assert (await self.served.submit(id=job, target="1:7")).status == 202

    async def ask_all(self) -> dict[str, Reply]:
        """Every route at once."""
        asked: dict[str, Deferred[Reply]] = {}
        for method, path, body in ROUTES:
            more: dict[str, Any] = {} if body is None else {"json": body}
            if isinstance(body, str):
                more = {"data": body.encode(), "headers": {"Content-Type": "text/plain"}}
            asked[f"{method} {path}"] = ensureDeferred(self.served.ask(method, path, **more))
        for method, route, body in AGENT_ROUTES:
            path = f"/1/7/{route}"
            sent = self.agent.post(route, body) if method == "POST" else self._get(path)
            asked[f"{method} {path}"] = ensureDeferred(sent)
        asked["open"] = ensureDeferred(self.agent.open())
        await DeferredList(list(asked.values()), consumeErrors=True)
        return {name: reply.result for name, reply in asked.items()}  # type: ignore[misc]  # they have ended

    async def _get(self, path: str) -> Reply:
        return await self.served.ask("GET", path, token=self.agent.session)

    async def poll(self) -> list[str]:
        """What the agent gets, but for `doomed`."""
        return [one["id"] for one in await self.agent.poll() if one["id"] != "doomed"]

    async def forget(self) -> None:
        """Let tokens be looked up again: they are kept for a second."""
        await sleep(self.served.hub.clock, 1.1)

    async def until_back(self) -> None:
        """Until the master has Redis again, and hears what is published there."""
        end = time.monotonic() + 60
        while (await self.served.ask("GET", "/readyz")).status != 200 or not self.served.subscriber.connected:
            assert time.monotonic() < end, "the master does not come back by itself"
            await sleep(self.served.hub.clock, 0.02)
