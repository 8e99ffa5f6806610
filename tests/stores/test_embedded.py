import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_twisted
from twisted.internet.endpoints import clientFromString

from deployer.errors import StartError, UnavailableError
from deployer.kit.clock import sleep
from deployer.stores.embedded import EmbeddedRedis, find_server
from deployer.stores.redis import Redis
from deployer.stores.server import memory_use, require_durable
from support.wait import until

MEMORY = 64 * 1024 * 1024


@pytest.fixture
def reactor() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (a real child needs the real reactor)

    return reactor


@pytest_twisted.async_yield_fixture
async def embedded(tmp_path: Path, reactor: Any) -> AsyncIterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis", MEMORY, reactor, reactor)
    await server.start()
    yield server
    await server.stop()


@pytest_twisted.async_yield_fixture
async def connection(embedded: EmbeddedRedis, reactor: Any) -> AsyncIterator[Redis]:
    redis = Redis(clientFromString(reactor, f"unix:{embedded.socket}"), reactor)
    await redis.start(20)
    yield redis
    await redis.stop()


async def test_the_embedded_server_is_private_durable_and_bounded(embedded: EmbeddedRedis, connection: Redis) -> None:
    await require_durable(connection, accept_data_loss=False)
    assert 0 < await memory_use(connection) < 1
    assert embedded.socket.stat().st_mode & 0o777 == 0o600
    assert embedded.socket.parent.stat().st_mode & 0o777 == 0o700
    assert await connection.call("CONFIG", "GET", "port") == [b"port", b"0"]


async def test_a_server_that_dies_is_started_again_with_its_data(
    embedded: EmbeddedRedis, connection: Redis, reactor: Any
) -> None:
    await connection.call("SET", "kept", "007")
    first = embedded.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert await _eventually(connection, reactor) == b"007"
    assert embedded.restarts == 1
    assert embedded.pid != first


async def _eventually(connection: Redis, reactor: Any) -> bytes:
    for _ in range(1000):
        await sleep(reactor, 0.02)
        try:
            return bytes(await connection.call("GET", "kept"))
        except UnavailableError:
            continue
    raise AssertionError("Redis did not come back")


async def test_a_server_left_by_a_killed_master_is_ended_first(tmp_path: Path, reactor: Any) -> None:
    directory = tmp_path / "redis"
    directory.mkdir(mode=0o700)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    import fcntl  # noqa: PLC0415 (only here)

    fcntl.flock(lock, fcntl.LOCK_EX)
    left = subprocess.Popen([find_server(), "--port", "0"], cwd=directory, pass_fds=[lock], stdout=subprocess.DEVNULL)
    os.close(lock)
    until(lambda: psutil.Process(left.pid).name().startswith("redis"), what="the server that is left")
    server = EmbeddedRedis(directory, MEMORY, reactor, reactor)
    await server.start()
    try:
        assert left.wait(0) is not None
        text = (directory / "lock").read_text()
        assert text.startswith(f"{server.pid} ")
    finally:
        await server.stop()


async def test_a_path_too_long_for_a_socket_is_got_around(tmp_path: Path, reactor: Any) -> None:
    server = EmbeddedRedis(tmp_path / ("long" * 30), MEMORY, reactor, reactor)
    assert len(os.fsencode(server.socket)) <= 107
    await server.start()
    redis = Redis(clientFromString(reactor, f"unix:{server.socket}"), reactor)
    await redis.start(20)
    await redis.stop()
    await server.stop()
    assert not server.socket.parent.exists()


async def test_a_server_that_may_lose_work_is_refused_unless_that_is_accepted(redis: Redis) -> None:
    with pytest.raises(StartError, match="appendfsync is no"):
        await require_durable(redis, accept_data_loss=False)
    await require_durable(redis, accept_data_loss=True)


async def test_a_call_without_a_server_fails_at_once_and_a_start_tells_what_is_wrong(
    tmp_path: Path, reactor: Any
) -> None:
    redis = Redis(clientFromString(reactor, f"unix:{tmp_path}/none"), reactor)
    with pytest.raises(UnavailableError):
        await redis.call("PING")
    with pytest.raises(StartError, match="did not answer"):
        await redis.start(0.1)
    await redis.stop()


async def test_a_server_that_stops_answering_is_cut_off(embedded: EmbeddedRedis, reactor: Any) -> None:
    redis = Redis(clientFromString(reactor, f"unix:{embedded.socket}"), reactor, deadline_s=0.5)
    await redis.start(20)
    assert embedded.pid is not None
    os.kill(embedded.pid, signal.SIGSTOP)
    try:
        with pytest.raises(UnavailableError):
            await redis.call("PING")
    finally:
        os.kill(embedded.pid, signal.SIGCONT)
    await redis.stop()
