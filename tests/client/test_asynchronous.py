"""What only the asynchronous client has: several requests at once, and streams that are left early."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from deployer.client.asynchronous import AsyncClient
from deployer.client.records import Message
from support.scripted import Answer, ScriptedMaster, answer, message, scripted_master, stream

OK: dict[str, Any] = {"id": "j1", "state": "OK", "cmd": "execute", "target": "1:1", "tasks": {"counts": {}}}


@pytest.fixture
def master() -> Iterator[ScriptedMaster]:
    with scripted_master() as one:
        yield one


@pytest_twisted.async_yield_fixture
async def client(master: ScriptedMaster) -> AsyncIterator[AsyncClient]:
    one = AsyncClient(master.url, "t", patience_s=0)
    yield one
    await one.close()


async def test_requests_go_side_by_side(master: ScriptedMaster, client: AsyncClient) -> None:
    both = threading.Barrier(2, timeout=20)

    def together(_: object) -> Answer:
        both.wait()
        return answer(OK)

    master.on("GET /api/v1/jobs/j1", together)
    jobs = await gatherResults([Deferred.fromCoroutine(client.job("j1")) for _ in range(2)])
    assert [job.state for job in jobs] == ["OK", "OK"]


async def test_a_log_may_be_left_before_its_end(master: ScriptedMaster, client: AsyncClient) -> None:
    over = threading.Event()
    master.on("GET /api/v1/jobs/j1/log", stream(message("1-0.0", 1, "a"), hold=over))
    async with aclosing(client.follow("j1")) as events:
        async for event in events:
            assert isinstance(event, Message)
            break
    over.set()
    assert len(master.asked) == 1


async def test_a_request_that_is_cancelled_is_not_sent_again(master: ScriptedMaster) -> None:
    over = threading.Event()
    client = AsyncClient(master.url, "t")
    master.on("GET /api/v1/jobs/j1", Answer(body=b"{", hold=over))
    waiting = Deferred.fromCoroutine(client.wait("j1"))
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    over.set()
    await client.close()
    assert len(master.asked) <= 1
