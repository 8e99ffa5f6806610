"""Receivers on real sockets."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest_twisted

from support.receiving import Receiving
from support.served import Served

Receive = Callable[..., Awaitable[Receiving]]


@pytest_twisted.async_yield_fixture
async def receive(served: Served) -> AsyncIterator[Receive]:
    made: list[Receiving] = []

    async def start(**settings: Any) -> Receiving:
        made.append(Receiving(served, **settings))
        return await made[-1].start()

    yield start
    for one in made:
        await one.stop()
