"""Five thousand agents on one master: all are served, and all come back when it has been killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs import Fleet, fleet, many_descriptors
from support.simulated import SimulatedAgent, ended, gathered
from support.wait import until

pytestmark = pytest.mark.long

AGENTS = 5_000
DEADLINE_S = 180.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with many_descriptors(4 * AGENTS), fleet(tmp_path) as made:
        made.start_master()
        yield made


async def scene(running: Fleet) -> None:
    port = int(running.url.rpartition(":")[2])
    join = (running.data / "join-token").read_text().strip()
    agents = [SimulatedAgent(number, port) for number in range(1, AGENTS + 1)]
    await gathered((agent.join(join) for agent in agents), 50)
    await gathered((agent.open() for agent in agents), 50)
    lives = [asyncio.ensure_future(agent.live()) for agent in agents]
    try:
        await everyone(agents, 0.0)
        running.master.kill()
        killed = asyncio.get_running_loop().time()
        await asyncio.to_thread(running.master.start)
        await asyncio.to_thread(until, running.is_ready, what="the master")
        await everyone(agents, killed)
        assert running.submit("j", "/bin/true", nid=AGENTS)["state"] == "QUEUED"
    finally:
        await ended(lives)


async def everyone(agents: list[SimulatedAgent], since: float) -> None:
    """Wait until each has had an answer to a poll that began after this time."""
    end = asyncio.get_running_loop().time() + DEADLINE_S
    while missing := sum(agent.asked <= since for agent in agents):
        assert asyncio.get_running_loop().time() < end, f"{missing} agents have no answer"
        await asyncio.sleep(0.2)


def test_all_of_them_come_back_after_a_kill_of_the_master(running: Fleet) -> None:
    asyncio.run(scene(running))
