"""Whatever Redis does, every route answers in time, says when to come again, and takes nothing it cannot keep (D4)."""

import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.endpoints import clientFromString

from deployer.errors import UnavailableError
from deployer.kit.clock import sleep
from deployer.protocol.ids import AgentId
from deployer.stores import redis as redis_store
from deployer.stores.redis import Redis
from support.hosts import HOST
from support.redis_proxy import (
    Answer,
    RedisProxy,
    close,
    error,
    garbage,
    half_a_reply,
    reset_in_mid_reply,
    silence,
)
from support.seeded import Seeded
from support.served import Reply, Served, WireAgent

DEADLINE_S = 1.0
JOB = {"cmd": "ping", "target": "1:7", "id": "lost"}
MESSAGES = {"boot": "0" * 32, "seq": 9, "groups": []}
NUMBERS = {"boot": "0" * 32, "seq": 9, "flushes": []}

ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/api/v1/agents", None),
    ("GET", "/api/v1/agents/1:7", None),
    ("GET", "/api/v1/agents/1:7/stats", None),
    ("GET", "/api/v1/hosts", None),
    ("GET", "/api/v1/hosts/1:7", None),
    ("GET", "/api/v1/hosts/1:7/facts", None),
    ("GET", "/api/v1/hosts/1:7/history", None),
    ("POST", "/api/v1/jobs", JOB),
    ("POST", "/api/v1/jobs?wait=1", JOB),
    ("GET", "/api/v1/jobs", None),
    ("GET", "/api/v1/jobs/there", None),
    ("GET", "/api/v1/jobs/there?wait=1", None),
    ("DELETE", "/api/v1/jobs/there", None),
    ("GET", "/api/v1/jobs/there/tasks", None),
    ("GET", "/api/v1/jobs/there/tasks/1:7/runs", None),
    ("GET", "/api/v1/jobs/there/log", None),
    ("GET", "/api/v1/processes", None),
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
]

TROUBLE: dict[str, tuple[Answer, int]] = {
    "loading": (error("LOADING Redis is loading the dataset in memory"), 503),
    "busy": (error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."), 503),
    "readonly": (error("READONLY You can't write against a read only replica."), 503),
    "misconf": (error("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist"), 503),
    "masterdown": (error("MASTERDOWN Link with MASTER is down"), 503),
    "no memory": (error("OOM command not allowed when used memory > 'maxmemory'."), 507),
    "no memory, as Redis 6 says it": (
        error("ERR Error running script (call to f_0a): @user_script:9: @user_script: 9: -OOM command not allowed"),
        507,
    ),
    "readonly, as Redis 6 says it": (
        error("ERR Error running script (call to f_0a): @user_script:9: -READONLY You can't write against a read"),
        503,
    ),
    "silence": (silence, 503),
    "half a reply": (half_a_reply, 503),
    "a reset in mid reply": (reset_in_mid_reply, 503),
    "a closed connection": (close, 503),
    "garbage": (garbage, 503),
}


class House:
    """A master whose Redis is behind a proxy, with an agent and a job."""

    def __init__(self, proxy: RedisProxy, served: Served, agent: WireAgent) -> None:
        self.proxy = proxy
        self.served = served
        self.agent = agent

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

    async def forget(self) -> None:
        """Let tokens be looked up again: they are kept for a second."""
        await sleep(self.served.hub.clock, 1.1)

    async def until_back(self) -> None:
        """Until the master has Redis again."""
        end = time.monotonic() + 30
        while (await self.served.ask("GET", "/readyz")).status != 200:
            assert time.monotonic() < end, "the master does not come back by itself"
            await sleep(self.served.hub.clock, 0.02)


@pytest_twisted.async_yield_fixture
async def house(redis: Redis, redis_socket: Path) -> AsyncIterator[House]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real reactor)

    proxy = RedisProxy(reactor, redis_socket)
    endpoint = clientFromString(reactor, proxy.endpoint)
    behind = Redis(endpoint, reactor, deadline_s=DEADLINE_S)  # type: ignore[arg-type]  # zope
    await behind.start(10)
    seeded = Seeded(behind)
    await seeded.install()
    served = Served(seeded, reactor, clientFromString(reactor, f"unix:{redis_socket}"))
    await served.start()
    agent = WireAgent(served, AgentId(1, 7))
    assert (await agent.join(seeded.join_token.text)).status == 200
    assert (await agent.open()).status == 200
    assert (await served.submit(id="there", target="1:7")).status == 202
    yield House(proxy, served, agent)
    proxy.trouble = None
    await served.stop()
    await behind.stop()
    await proxy.stop()


@pytest.mark.parametrize(("trouble", "status"), TROUBLE.values(), ids=TROUBLE)
async def test_every_route_answers_in_time_and_comes_back_by_itself(house: House, trouble: Answer, status: int) -> None:
    await house.forget()
    house.proxy.trouble = trouble
    begun = time.monotonic()
    replies = await house.ask_all()
    assert time.monotonic() - begun < 10
    for name, reply in replies.items():
        assert reply.status == status or (reply.status == 503 and status != 500), (name, reply.status, reply.body)
        assert reply.code in {"unavailable", "no_space"}, name
        assert (reply.header("retry-after") is not None) == (reply.status == 503), name
    assert (await house.served.ask("GET", "/livez")).status == 200
    house.proxy.trouble = None
    await house.until_back()
    assert (await house.served.submit(id="after", target="1:7")).status == 202
    assert (await house.agent.open()).status == 200
    assert [one["id"] for one in await house.agent.poll()] == ["there", "after"]
    assert (await house.served.ask("GET", "/api/v1/jobs/lost")).status == 404
    assert house.served.seeded.redis.waiting == 0


def test_the_table_has_every_route() -> None:
    folder = Path(redis_store.__file__).parents[1] / "rest"
    text = "".join(file.read_text() for file in folder.glob("*.py"))
    declared = re.findall(r'@endpoint\("([A-Z]+)", "(/api/[^"]+)"', text)
    assert len(declared) > 15
    for method, path in declared:
        form = re.compile(re.sub("<[^>]+>", "[^/]+", path))
        assert any(known == method and form.fullmatch(asked.partition("?")[0]) for known, asked, _ in ROUTES), path


async def test_what_is_asked_past_the_limit_is_refused_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "MOST_CALLS", 20)
    house.proxy.trouble = silence
    redis = house.served.seeded.redis
    waiting = [ensureDeferred(redis.call("GET", "x")) for _ in range(20)]
    with pytest.raises(UnavailableError, match="too slow"):
        await redis.call("GET", "x")
    with pytest.raises(UnavailableError, match="too slow"):
        await redis.calls([("GET", "x")] * 3)
    begun = time.monotonic()
    assert (await house.served.ask("GET", "/api/v1/jobs")).status == 503
    assert time.monotonic() - begun < DEADLINE_S
    assert (redis.waiting, redis.refused) == (20, 5)
    outcomes = await DeferredList(waiting, consumeErrors=True)
    assert {outcome.type for _, outcome in outcomes} == {UnavailableError}  # type: ignore[union-attr]
    assert redis.waiting == 0


async def test_calls_whose_callers_have_left_count_until_they_are_answered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "MOST_BYTES", 1000)
    house.proxy.trouble = silence
    redis = house.served.seeded.redis
    gone = ensureDeferred(redis.calls([("SET", "x", b"x" * 300)] * 3))
    gone.addErrback(lambda _: None)
    gone.cancel()
    with pytest.raises(UnavailableError, match="too slow"):
        await redis.call("SET", "x", b"x" * 300)
    house.proxy.trouble = close
    await house.served.until(lambda: redis.waiting == 0)


async def test_a_server_that_takes_connections_and_says_nothing_is_left_again(house: House) -> None:
    house.proxy.trouble = silence
    before = house.proxy.connections
    redis = house.served.seeded.redis
    with pytest.raises(UnavailableError):
        await redis.call("PING")
    await house.served.until(lambda: house.proxy.connections >= before + 2)  # the second one was silent from the start
    house.proxy.trouble = None
    await house.until_back()


async def test_a_stream_under_which_redis_goes_away_ends_without_a_bug_in_the_log(house: House) -> None:
    raw = house.served.begin("/api/v1/jobs/there/log")
    raw.setblocking(False)
    got: list[bytes] = []
    await house.served.until(lambda: b"retry: 1000" in _read(raw, got))
    house.proxy.trouble = error("LOADING Redis is loading")
    house.served.hub.wake_all()
    await house.served.until(lambda: _read(raw, got).endswith(_END))
    raw.close()


_END = b"closed"


def _read(raw: socket.socket, got: list[bytes]) -> bytes:
    """All that came so far, with `closed` at the end once the other side has closed."""
    with contextlib.suppress(BlockingIOError):
        got.append(raw.recv(65536) or _END)
    return b"".join(got)
