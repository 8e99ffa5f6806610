"""What tasks consume and print is told once an interval, by domain and name, and what the host consumes."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from deployer.protocol.levels import STATSD, STDOUT
from deployer.protocol.stats import Flush
from deployer_agent.commands.metering import MOST_STEPS, Metering, Sources
from deployer_agent.outbox.batch import Source
from deployer_agent.stats.host_sampler import HostSampler

NAME = Source("t", "d", "n")


class House:
    """A metering whose tasks are real processes, on a clock of its own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wall = 1_000_000.0
        self.sent: list[Flush] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        sources = Sources(self.pids, lambda: [os.getpid()], self.sent.append)
        self.metering = Metering(sources, HostSampler(self.clock), self.clock, lambda: self.wall)

    def pids(self, task: str) -> list[int]:
        return [self.processes[task].pid] if task in self.processes else []

    def start(self, task: str) -> None:
        self.processes[task] = subprocess.Popen(["/bin/sleep", "1000"])

    async def pass_time(self, seconds: float) -> dict[tuple[str, str], dict[str, float]]:
        """Let time pass in one tick; what was told then."""
        self.clock.advance(seconds)
        self.wall += seconds
        self.sent.clear()
        await self.metering.tick()
        return self.told()

    def told(self) -> dict[tuple[str, str], dict[str, float]]:
        values: dict[tuple[str, str], dict[str, float]] = {}
        for flush in self.sent:
            for point in flush.points:
                values.setdefault((point.domain, point.name), {})[point.key] = point.value
        return values


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()


def said(*lines: str, level: int = STATSD) -> list[tuple[int, str, int]]:
    return [(level, line, 0) for line in lines]


async def test_tasks_of_one_name_are_summed_and_the_host_and_the_agent_told(house: House) -> None:
    for task, source in (("a", NAME), ("b", NAME), ("c", Source("c", "", ""))):
        house.start(task)
        house.metering.begin(task, source, 0)
    assert await house.pass_time(1) == {}
    told = await house.pass_time(30)
    assert told["d", "n"]["processes"] == 2
    assert told["d", "n"]["rss"] > 0
    assert told["unknown", "unknown"]["processes"] == 1
    assert told["deployer", "agent"]["processes"] >= 1
    assert told["", ""]["memory.total"] > 0
    assert {(flush.at, flush.step) for flush in house.sent} == {(999_990, 30)}
    again = await house.pass_time(30)
    assert {"cpu", "net_sent_per_s"} <= set(again["d", "n"])


async def test_what_is_printed_at_level_10_is_aggregated(house: House) -> None:
    hear = house.metering.begin("t", NAME, 0)
    hear(said("hits:2|c", "hits:3|c\ntemp:7|g", "what is this", "x:1|zz"))
    hear(said("hits:100|c", level=STDOUT))
    house.metering.end("t")
    told = await house.pass_time(31)
    assert (told["d", "n"]["hits.count"], told["d", "n"]["temp"]) == (5, 7)
    assert told["deployer", "agent"]["bad_lines"] == 2
    assert "hits.count" not in (await house.pass_time(30))["d", "n"]


async def test_what_a_process_prints_never_passes_for_what_was_read_of_it(house: House) -> None:
    house.start("t")
    hear = house.metering.begin("t", NAME, 0)
    forged = ["rss:1|c", "processes:99|g", "threads:9|s", "fds:5|kv", *(f"k{n}:1|g" for n in range(2000))]
    for _ in range(2):
        hear(said(*forged))
        told = (await house.pass_time(31))["d", "n"]
        assert told["processes"] == 1
        assert told["rss"] > 1
        assert (told["threads"], told["fds"]) != (9, 5)


async def test_what_has_ended_is_not_told_any_more(house: House) -> None:
    house.start("t")
    house.metering.begin("t", NAME, 0)
    assert ("d", "n") in await house.pass_time(31)
    house.metering.end("t")
    assert ("d", "n") not in await house.pass_time(30)


async def test_a_task_between_two_runs_is_not_told(house: House) -> None:
    house.metering.begin("t", NAME, 0)
    assert ("d", "n") not in await house.pass_time(31)


async def test_an_interval_of_its_own_has_slots_of_its_own(house: House) -> None:
    house.start("t")
    house.metering.begin("t", NAME, 7)
    told = await house.pass_time(7)
    assert set(told) == {("d", "n")}
    assert {(flush.at, flush.step) for flush in house.sent} == {(999_999 // 7 * 7, 7)}
    house.start("u")
    house.metering.begin("u", NAME, 11)  # what is summed is sampled together
    assert (await house.pass_time(7))["d", "n"]["processes"] == 2
    house.metering.end("t")
    house.metering.end("u")
    for _ in range(12):
        await house.pass_time(7)
    assert set(house.metering._intervals) == {30}


async def test_too_many_intervals_are_the_usual_one(house: House) -> None:
    for step in range(1, MOST_STEPS + 3):
        house.metering.begin(f"t{step}", Source("t", "d", f"n{step}"), step)
    assert len(house.metering._intervals) == MOST_STEPS


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_clock_that_is_put_right_ends_the_slot_once(house: House, jump: float) -> None:
    house.wall += jump
    told: dict[Any, Any] = await house.pass_time(1)
    assert told["", ""]["processes"] > 0
    assert {flush.at for flush in house.sent} == {999_990}
    assert await house.pass_time(1) == {}
    assert all(0 <= value < 10**6 for key, value in (await house.pass_time(30))["", ""].items() if "cpu" in key)


async def test_the_agents_end_tells_what_there_is(house: House) -> None:
    house.metering.begin("t", NAME, 0)(said("hits:2|c"))
    house.metering.flush()
    assert house.told() == {("d", "n"): {"hits.count": 2, "hits.rate": 2 / 30}}
