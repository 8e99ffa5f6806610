"""Real redis-servers in real trouble: answers come in time, and service comes back by itself."""

import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from msgspec import Struct
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import clientFromString

from deployer.stores.connection import MOST_CALLS
from deployer.stores.embedded import find_server
from deployer.stores.redis import Redis
from support.house import House
from support.own_redis import OwnRedis, oldest_server
from support.resp import Resp
from support.served import Reply
from support.wait import until

DEADLINE_S = 1.0
SERVERS = {"as installed": find_server, "6.2": oldest_server}
WRITES = {
    "POST /api/v1/jobs",
    "POST /api/v1/jobs?wait=1",
    "PUT /api/v1/scripts/d/n",
    "POST /api/v1/tokens",
    "POST /api/v1/join-tokens",
    "POST /1/7/accept",
    "POST /1/7/log",
    "POST /1/7/result",
    "POST /1/7/stats",
    "POST /1/7/facts",
    "open",
}
"""What cannot be done without room; the rest reads, writes only now and then, or makes room (a job is cancelled)."""


class RealHouse(House):
    """A house with a server of its own."""

    server: OwnRedis


@pytest_twisted.async_yield_fixture(params=SERVERS.values(), ids=SERVERS)
async def house(request: pytest.FixtureRequest) -> AsyncIterator[RealHouse]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real reactor)

    server = OwnRedis(request.param(), dbfilename="snapshot")
    server.start()
    clock: Any = reactor
    endpoint = clientFromString(clock, f"unix:{server.socket}")
    redis = Redis(endpoint, clock, deadline_s=DEADLINE_S)
    await redis.start(30)
    made = RealHouse(redis, clock, endpoint, DEADLINE_S)
    made.server = server
    await made.start()
    yield made
    await made.served.stop()
    await redis.stop()
    server.stop()


class Fault(Struct, frozen=True):
    """How it is brought about and lifted; what nothing can be written (`writes`) or read (`reads`) then."""

    provoke: Callable[[OwnRedis], object]
    lift: Callable[[OwnRedis], object]
    writes: int
    reads: int = 200


def _fail_to_save(server: OwnRedis) -> None:
    """MISCONF: the snapshot cannot be moved to its place, since a directory is there."""
    (server.folder / "snapshot").mkdir()
    server.ask("CONFIG", "SET", "save", "3600 1")
    _save(server, "err")


def _save_again(server: OwnRedis) -> None:
    (server.folder / "snapshot").rmdir()
    _save(server, "ok")


def _save(server: OwnRedis, outcome: str) -> None:
    server.ask("BGSAVE")
    wanted = (f"rdb_last_bgsave_status:{outcome}".encode(), b"rdb_bgsave_in_progress:0")
    until(lambda: all(one in _info(server) for one in wanted), what="the snapshot")


def _info(server: OwnRedis) -> bytes:
    text = server.ask("INFO", "persistence")
    assert isinstance(text, bytes)
    return text


def _run_for_ever(server: OwnRedis) -> None:
    """BUSY: somebody's script does not end."""
    other = socket.socket(socket.AF_UNIX)
    other.connect(str(server.socket))
    other.sendall(b"EVAL 'while true do end' 0\r\n")
    other.close()
    until(lambda: _is_busy(server), what="the script to be slow")


def _is_busy(server: OwnRedis) -> bool:
    try:
        server.ask("GET", "x")
    except AssertionError as said:
        return str(said).startswith("BUSY")
    return False


FAULTS = {
    "stall": Fault(
        lambda server: server.signal(signal.SIGSTOP), lambda server: server.signal(signal.SIGCONT), 503, 503
    ),
    "out of memory": Fault(
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "1"),
        lambda server: server.ask("CONFIG", "SET", "maxmemory", "0"),
        507,
    ),
    "replica": Fault(
        lambda server: server.ask("REPLICAOF", "127.0.0.1", "1"),
        lambda server: server.ask("REPLICAOF", "NO", "ONE"),
        503,
    ),
    "snapshots fail": Fault(_fail_to_save, _save_again, 503),
    "endless script": Fault(_run_for_ever, lambda server: server.ask("SCRIPT", "KILL"), 503, 503),
    "killed": Fault(lambda server: server.kill(), lambda server: server.start(), 503, 503),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_what_redis_cannot_do_is_refused_in_time_and_then_all_goes_on(house: RealHouse, fault: Fault) -> None:
    await house.forget()
    fault.provoke(house.server)
    replies = await house.ask_all()
    for name, reply in replies.items():
        _check(name, reply, fault)
    ready = await house.served.ask("GET", "/readyz")
    assert ready.status == 503, ready.body
    assert (await house.served.ask("GET", "/livez")).status == 200
    fault.lift(house.server)
    await house.until_back()
    await _works(house)


def _check(name: str, reply: Reply, fault: Fault) -> None:
    assert reply.status < 500 or reply.code in {"unavailable", "no_space"}, (name, reply.body)
    assert (reply.header("retry-after") is not None) == (reply.status == 503), name
    if name in WRITES:
        assert reply.status == fault.writes, (name, reply.status, reply.body)
    elif name.startswith("GET /api") and fault.reads != 200:
        assert reply.status == fault.reads, (name, reply.status, reply.body)
    elif name.startswith("GET /api"):
        assert reply.status < 500, (name, reply.status, reply.body)


async def _works(house: RealHouse) -> None:
    """What was refused can be done now, once."""
    assert house.redis.waiting < MOST_CALLS / 100
    assert (await house.served.submit(id="lost", target="1:7")).status in {200, 202}  # 200: it was kept all the same
    assert (await house.agent.open()).status == 200
    assert await house.poll() == ["there", "lost"]
    await house.agent.run("there")
    assert (await house.served.ask("GET", "/api/v1/jobs/there?wait=30")).json["state"] == "OK"
    assert house.redis.waiting == 0


async def test_forgotten_scripts_are_told_again_and_nobody_notices(house: RealHouse) -> None:
    for number in range(3):
        house.server.ask("SCRIPT", "FLUSH")
        assert (await house.served.submit(id=f"j{number}", target="1:7")).status == 202
    house.server.ask("SCRIPT", "FLUSH")
    assert await house.poll() == ["there", "j0", "j1", "j2"]


async def test_connections_that_redis_ends_are_made_anew(house: RealHouse) -> None:
    for kind in ("normal", "pubsub"):
        assert house.server.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes") == 1
        await house.until_back()
    await _works(house)


async def test_a_server_that_takes_no_more_clients_is_asked_again_until_it_does(house: RealHouse) -> None:
    with Resp(house.server.socket) as other:
        other.ask("CONFIG", "SET", "maxclients", "1")
        other.ask("CLIENT", "KILL", "TYPE", "pubsub")
        other.ask("CLIENT", "KILL", "TYPE", "normal")
        await house.served.until(lambda: not house.redis.connected)
        assert (await house.served.ask("GET", "/readyz")).status == 503
        other.ask("CONFIG", "SET", "maxclients", "100")
        await house.until_back()
    await _works(house)


async def test_what_was_asked_in_a_stall_and_is_asked_again_happens_once(house: RealHouse) -> None:
    assert (await house.served.ask("GET", "/api/v1/jobs")).status == 200  # the token is known for a second
    house.server.signal(signal.SIGSTOP)
    asked = [ensureDeferred(house.served.submit(id="lost", target="1:7")) for _ in range(10)]
    answers = [await one for one in asked]
    assert {answer.status for answer in answers} == {503}
    house.server.signal(signal.SIGCONT)
    await house.until_back()
    await _works(house)


async def test_while_redis_loads_what_it_had_everything_waits_for_it(house: RealHouse) -> None:
    block = "x" * 1000
    await house.redis.calls([("SET", f"weight:{n}", block) for n in range(4000)])
    house.server.ask("BGREWRITEAOF")
    until(lambda: b"aof_rewrite_in_progress:0" in _info(house.server), what="the append-only file")
    await house.forget()
    house.server.kill()
    house.server.start(key_load_delay="1000")
    begun = time.monotonic()
    replies = await house.ask_all()
    for name, reply in replies.items():
        _check(name, reply, Fault(print, print, 503, 503))
    assert time.monotonic() - begun < 30
    await house.until_back()
    house.server.ask("UNLINK", *(f"weight:{n}" for n in range(4000)))
    await _works(house)
