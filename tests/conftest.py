"""Fixtures and rules for every test."""

import gc
import inspect
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from hypothesis import HealthCheck, settings
from twisted.internet.endpoints import clientFromString

from deployer.protocol.ids import AgentId
from deployer.stores.redis import Redis
from support.canaries import listening
from support.failures import LoggedFailures, watch
from support.redis_server import running_redis
from support.seeded import Seeded
from support.served import Served, WireAgent

settings.register_profile(
    "same every time",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # how fast examples are made is the machine's business
)
settings.load_profile("same every time")

ROOT = Path(__file__).resolve().parent.parent
os.environ["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}"  # for the programs that tests start


@pytest.fixture(autouse=True)
def logged_failures() -> Iterator[LoggedFailures]:
    with listening(), watch() as seen:
        yield seen


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:
    """Let `async def test_…` run in the reactor without a decorator on each."""
    if name.startswith("test_") and inspect.iscoroutinefunction(obj) and not hasattr(obj, "__wrapped__"):
        setattr(collector.obj, name, pytest_twisted.ensureDeferred(obj))  # type: ignore[attr-defined]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("-m"):
        return
    chosen = [item for item in items if "long" not in item.keywords]
    config.hook.pytest_deselected(items=[item for item in items if "long" in item.keywords])
    items[:] = chosen


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Under CI=true a skipped test is a failure: CI has every component or says so."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[Path]:
    with running_redis() as socket:
        yield socket


@pytest_twisted.async_yield_fixture
async def redis(redis_socket: Path) -> AsyncIterator[Redis]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (tests of the real Redis run in the real reactor)

    connection = Redis(clientFromString(reactor, f"unix:{redis_socket}"), reactor)  # type: ignore[arg-type]  # zope
    await connection.start(10)
    await connection.call("FLUSHALL")
    yield connection
    await connection.stop()


@pytest_twisted.async_fixture
async def seeded(redis: Redis) -> Seeded:
    made = Seeded(redis)
    await made.install()
    await made.join()
    return made


@pytest_twisted.async_yield_fixture
async def served(seeded: Seeded, redis_socket: Path) -> AsyncIterator[Served]:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real reactor)

    master = Served(seeded, reactor, clientFromString(reactor, f"unix:{redis_socket}"))
    await master.start()
    yield master
    await master.stop()


@pytest_twisted.async_fixture
async def agent(served: Served) -> WireAgent:
    made = WireAgent(served, AgentId(1, 7))
    assert (await made.join(served.seeded.join_token.text)).status == 200
    assert (await made.open()).status == 200
    return made


def pytest_collection_finish() -> None:
    """What is there before the first test is left alone by each test's look for garbage: that took most of the time."""
    gc.collect()
    gc.freeze()
