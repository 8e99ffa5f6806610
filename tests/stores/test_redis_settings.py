"""What a configured Redis must be set to, on real servers; and which rights the master's user needs there."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import txredisapi
from twisted.internet.endpoints import clientFromString
from twisted.logger import capturedLogs, formatEvent

from deployer.errors import StartError
from deployer.stores.connection import Login
from deployer.stores.embedded import find_server
from deployer.stores.redis import Redis
from deployer.stores.server import require_durable
from support.house import House
from support.own_redis import OwnRedis, oldest_server
from support.resp import Resp

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
EVERYWHERE = "0.0.0.0"  # noqa: S104 (this is what is to be refused)
Connected = Callable[..., Awaitable[Redis]]


@pytest.fixture
def reactor() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real reactor)

    return reactor


@pytest_twisted.async_yield_fixture
async def connected(reactor: Any) -> AsyncIterator[Connected]:
    servers: list[OwnRedis] = []
    connections: list[Redis] = []

    async def connect(login: Login = Login(), **settings: str) -> Redis:
        server = OwnRedis(**settings)
        servers.append(server)
        server.start()
        redis = Redis(clientFromString(reactor, f"unix:{server.socket}"), reactor, login)
        connections.append(redis)
        await redis.start(20)
        return redis

    yield connect
    for redis in connections:
        await redis.stop()
    for server in servers:
        server.stop()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "allkeys-lru"),
    ],
)
async def test_a_server_that_may_lose_accepted_work_is_refused_and_told_what_to_change(
    connected: Connected, setting: str, value: str
) -> None:
    redis = await connected(**{setting: value})
    with pytest.raises(StartError, match=f"{setting} is {value}, not .*Change its settings, or set accept_data_loss"):
        await require_durable(redis, accept_data_loss=False)


async def test_snapshots_alone_are_not_enough(connected: Connected) -> None:
    redis = await connected(appendonly="no", save="1 1")
    with pytest.raises(StartError, match="appendonly is no"):
        await require_durable(redis, accept_data_loss=False)


async def test_what_is_accepted_is_warned_of_at_each_start(connected: Connected) -> None:
    redis = await connected(appendfsync="everysec")
    with capturedLogs() as logged:
        for _ in range(2):
            await require_durable(redis, accept_data_loss=True)
    assert [formatEvent(event).count("appendfsync is everysec, not always") for event in logged] == [1, 1]


async def test_a_server_that_hides_its_settings_is_refused(connected: Connected) -> None:
    redis = await connected(rename_command='CONFIG ""')
    with pytest.raises(StartError, match="appendonly is unknown"):
        await require_durable(redis, accept_data_loss=False)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"bind": EVERYWHERE, "protected-mode": "no"}, True),
        ({"bind": EVERYWHERE, "protected-mode": "yes"}, False),
        ({"bind": "127.0.0.1", "protected-mode": "no"}, False),
        ({"bind": EVERYWHERE, "protected-mode": "no", "requirepass": "secret"}, False),
        ({"bind": EVERYWHERE, "protected-mode": "no", "user": "default on >secret ~* &* +@all"}, False),
    ],
)
async def test_a_server_that_serves_the_network_without_a_password_is_refused(
    connected: Connected, settings: dict[str, str], *, refused: bool
) -> None:
    has_password = "requirepass" in settings or "user" in settings
    login = Login(None, "secret") if has_password else Login()
    redis = await _on_a_port(lambda port: connected(login, port=str(port), **settings))
    if refused:
        with pytest.raises(StartError, match="whoever reaches its port"):
            await require_durable(redis, accept_data_loss=False)
    else:
        await require_durable(redis, accept_data_loss=False)


async def _on_a_port(connect: Callable[[int], Awaitable[Redis]]) -> Redis:
    """On one that nobody has; somebody may take it meanwhile."""
    for _ in range(20):
        try:
            return await connect(_free_port())
        except AssertionError as error:
            if "Address already in use" not in str(error):
                raise
    raise AssertionError("twenty ports were taken")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _rights() -> str:
    """The line of docs/operations.md that makes the master's user."""
    (line,) = [line for line in OPERATIONS.read_text().splitlines() if line.strip().startswith("user deployer ")]
    return line.strip().removeprefix("user ")


@pytest_twisted.async_yield_fixture(params=[find_server, oldest_server], ids=["as installed", "6.2"])
async def restricted(request: pytest.FixtureRequest, reactor: Any) -> AsyncIterator[tuple[House, OwnRedis, Redis]]:
    server = OwnRedis(request.param(), user=_rights().replace(">a-long-password", ">secret"))
    server.start()
    endpoint = clientFromString(reactor, f"unix:{server.socket}")
    redis = Redis(endpoint, reactor, Login("deployer", "secret"))
    await redis.start(20)
    house = House(redis, reactor, endpoint, login=Login("deployer", "secret"))
    await house.start()
    yield house, server, redis
    await house.served.stop()
    await redis.stop()
    server.stop()


async def test_the_documented_user_may_do_all_that_a_master_does(restricted: tuple[House, OwnRedis, Redis]) -> None:
    house, server, redis = restricted
    await require_durable(redis, accept_data_loss=False)
    replies = await house.ask_all()
    assert {name: reply.status for name, reply in replies.items() if reply.status >= 500} == {}
    refused = [line for line in _refusals(server) if line]
    assert refused == []


def _refusals(server: OwnRedis) -> list[bytes]:
    with Resp(server.socket) as other:
        found: list[Any] = other.ask("ACL", "LOG")
    return [str(one).encode() for one in found]


@pytest.mark.parametrize(
    "words",
    [
        ("CONFIG", "SET", "appendonly", "no"),
        ("CONFIG", "REWRITE"),
        ("MODULE", "LIST"),
        ("DEBUG", "SLEEP", "0"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("SCRIPT", "FLUSH"),
        ("SHUTDOWN", "NOSAVE"),
        ("REPLICAOF", "NO", "ONE"),
        ("ACL", "LIST"),
        ("MONITOR",),
        ("GET", "somebody-elses"),
    ],
)
async def test_it_may_do_nothing_else(restricted: tuple[House, OwnRedis, Redis], words: tuple[str, ...]) -> None:
    with pytest.raises(txredisapi.ResponseError, match=r"NOPERM|not allowed|can't run|no permissions"):
        await restricted[2].call(*words)
