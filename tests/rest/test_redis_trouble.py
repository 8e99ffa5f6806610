"""Whatever Redis does, every route answers in time, says when to come again, and takes nothing it cannot keep (D4)."""

import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.internet.endpoints import clientFromString

from deployer.assembly.site import describe_api
from deployer.errors import UnavailableError
from deployer.stores import connection, keys, probe
from deployer.stores.redis import Redis
from support.house import ROUTES, House
from support.redis_proxy import (
    Answer,
    Client,
    RedisProxy,
    close,
    error,
    garbage,
    half_a_reply,
    pong,
    reset_in_mid_reply,
    silence,
)

DEADLINE_S = 1.0
NEEDS_NO_REDIS = {"/api/v1/openapi.json"}

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


class ProxiedHouse(House):
    """A house whose Redis is behind a proxy."""

    proxy: RedisProxy


@pytest_twisted.async_yield_fixture
async def house(redis: Redis, redis_socket: Path) -> AsyncIterator[ProxiedHouse]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real reactor)

    proxy = RedisProxy(reactor, redis_socket)
    behind = Redis(clientFromString(reactor, proxy.endpoint), reactor, deadline_s=DEADLINE_S)  # type: ignore[arg-type]  # zope
    await behind.start(10)
    made = ProxiedHouse(behind, reactor, clientFromString(reactor, proxy.endpoint), DEADLINE_S)
    made.proxy = proxy
    await made.start()
    yield made
    proxy.trouble = None
    await made.served.stop()
    await behind.stop()
    await proxy.stop()


@pytest.mark.parametrize(("trouble", "status"), TROUBLE.values(), ids=TROUBLE)
async def test_every_route_answers_in_time_and_comes_back_by_itself(
    house: ProxiedHouse, trouble: Answer, status: int
) -> None:
    await house.forget()
    house.proxy.trouble = trouble
    begun = time.monotonic()
    replies = await house.ask_all()
    assert time.monotonic() - begun < 30
    for name, reply in replies.items():
        assert reply.status == status, (name, reply.status, reply.body)
        assert reply.code in {"unavailable", "no_space"}, name
        assert (reply.header("retry-after") is not None) == (reply.status == 503), name
    assert (await house.served.ask("GET", "/livez")).status == 200
    assert (await house.served.ask("GET", "/readyz")).status == 503
    house.proxy.trouble = None
    await house.until_back()
    assert (await house.served.submit(id="after", target="1:7")).status == 202
    assert (await house.agent.open()).status == 200
    assert await house.poll() == ["there", "after"]
    assert (await house.served.ask("GET", "/api/v1/jobs/lost")).status == 404
    assert house.redis.waiting == 0


def test_the_table_has_every_route() -> None:
    declared = {(method.upper(), path) for path, methods in describe_api()["paths"].items() for method in methods}
    assert len(declared) > 20
    for method, path in declared:
        form = re.compile(re.sub("{[^}]+}", "[^/]+", path))
        asked = any(known == method and form.fullmatch(one.partition("?")[0]) for known, one, _ in ROUTES)
        assert asked or path in NEEDS_NO_REDIS, (method, path)


async def test_what_is_asked_past_the_limit_is_refused_at_once(
    house: ProxiedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_CALLS", 20)
    redis = house.redis
    monkeypatch.setattr(redis, "_deadline_s", 600.0)
    house.proxy.trouble = silence
    waiting = [ensureDeferred(redis.call("GET", "x")) for _ in range(20)]
    with pytest.raises(UnavailableError, match="too slow"):
        await redis.call("GET", "x")
    with pytest.raises(UnavailableError, match="too slow"):
        await redis.calls([("GET", "x")] * 3)
    assert (await house.served.ask("GET", "/api/v1/jobs")).status == 503
    assert (redis.waiting, redis.refused) == (20, 5)
    monkeypatch.setattr(redis, "_deadline_s", DEADLINE_S)
    outcomes = await DeferredList(waiting, consumeErrors=True)
    assert {outcome.type for _, outcome in outcomes} == {UnavailableError}  # type: ignore[union-attr]
    assert redis.waiting == 0


async def test_calls_whose_callers_have_left_count_until_they_are_answered(
    house: ProxiedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_BYTES", 1000)
    house.proxy.trouble = silence
    redis = house.redis
    gone = ensureDeferred(redis.calls([("SET", "x", b"x" * 300)] * 3))
    gone.addErrback(lambda _: None)
    gone.cancel()
    with pytest.raises(UnavailableError, match="too slow"):
        await redis.call("SET", "x", b"x" * 300)
    house.proxy.trouble = close
    await house.served.until(lambda: redis.waiting == 0)


async def test_a_server_that_takes_connections_and_says_nothing_is_left_again(house: ProxiedHouse) -> None:
    house.proxy.trouble = silence
    before = house.proxy.connections
    redis = house.redis
    with pytest.raises(UnavailableError):
        await redis.call("PING")
    await house.served.until(lambda: house.proxy.connections >= before + 2)  # the second one was silent from the start
    house.proxy.trouble = None
    await house.until_back()


async def test_readiness_is_told_in_time_while_redis_stalls(
    house: ProxiedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.redis, "_deadline_s", 600.0)
    monkeypatch.setattr(probe, "ANSWER_S", 0.2)
    house.proxy.trouble = silence
    told = await house.served.ask("GET", "/readyz")
    assert (told.status, told.json["status"]) == (503, "redis has not answered for 0.2 s")
    assert (await house.served.ask("GET", "/readyz")).status == 503
    house.proxy.trouble = None
    house.proxy.cut()
    await house.until_back()


async def test_a_subscription_that_falls_silent_is_made_anew_and_wakes_all_who_wait(house: ProxiedHouse) -> None:
    """As after a switch that has forgotten the connection: no end is told of, and nothing comes any more."""
    waiting = ensureDeferred(_woken(house))
    house.proxy.freeze()
    await house.served.until(lambda: waiting.called, 60)
    await waiting
    await house.until_back()
    assert await house.poll() == ["there"]
    polled = ensureDeferred(house.poll())
    assert (await house.served.submit(id="heard", target="1:7")).status == 202
    assert await polled == ["heard"]


async def _woken(house: ProxiedHouse) -> None:
    """Returns once one who waits for what nobody publishes has been woken."""
    with house.served.hub.waiter((keys.WAKE, "nobody")) as waiter:
        while not await waiter.wait(60.0):
            pass  # it looks by itself from time to time


async def test_a_subscription_that_redis_refuses_is_asked_for_again(house: ProxiedHouse) -> None:
    seen: list[int] = []

    def refuse(client: Client, command: list[bytes]) -> None:
        seen.append(house.proxy.connections)
        (error("NOPERM no") if command[0] == b"SUBSCRIBE" else pong)(client, command)

    house.proxy.trouble = refuse
    house.proxy.cut()
    await house.served.until(lambda: len(set(seen)) > 4, 60)
    house.proxy.trouble = None
    await house.until_back()


async def test_a_stream_under_which_redis_goes_away_ends_without_a_bug_in_the_log(house: ProxiedHouse) -> None:
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
