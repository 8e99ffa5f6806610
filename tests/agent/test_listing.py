"""The agent's list of what runs: offered when it has changed, and after each sample."""

from collections.abc import Mapping

import pytest

from deployer.protocol.processes import MAX_PROCESSES, LiveProcess, ProcessList, decode
from deployer_agent.commands.listing import Listing
from deployer_agent.processes.plan import Living

STARTED = 1_000_000


class House:
    """A listing of what the test says that runs."""

    def __init__(self) -> None:
        self.living: list[Living] = []
        self.offered: list[ProcessList] = []
        names: Mapping[str, tuple[str, str]] = {"a": ("web", "nginx")}
        self.listing = Listing(
            lambda: self.living,
            lambda task: names.get(task, ("", "")),
            lambda body: self.offered.append(decode(body)),
        )

    async def tick(self) -> list[ProcessList]:
        """What is offered in this second."""
        self.offered.clear()
        await self.listing.tick()
        return list(self.offered)


def living(task: str, age_s: float = 5.0, run: int = 1) -> Living:
    return Living(task, run, 77, STARTED, age_s)


@pytest.fixture
def house() -> House:
    return House()


async def test_an_agent_that_runs_nothing_says_so_once(house: House) -> None:
    assert await house.tick() == [ProcessList([])]
    assert await house.tick() == []


async def test_a_process_is_listed_when_it_has_lived_for_a_second_and_no_more_when_it_has_ended(house: House) -> None:
    await house.tick()
    house.living = [living("a", 0.99)]
    assert await house.tick() == []
    house.living = [living("a", 1.0), living("b", 0.1)]
    assert await house.tick() == [ProcessList([LiveProcess("a", 1, 77, STARTED, "web", "nginx")])]
    assert await house.tick() == []
    house.living = [living("a", run=2)]
    (second,) = await house.tick()
    assert [one.run for one in second.processes] == [2]
    house.living = []
    assert await house.tick() == [ProcessList([])]


async def test_a_sample_goes_with_the_next_list(house: House) -> None:
    house.living = [living("a"), living("b")]
    await house.tick()
    house.listing.sampled(990, 30, {"a": {"rss": 5, "cpu": 1.23456}, "": {"rss": 1}})
    ((a, b),) = [tuple(one.processes) for one in await house.tick()]
    assert (a.at, a.step, a.values) == (990, 30, {"rss": 5, "cpu": 1.235})
    assert (b.at, b.step, b.values) == (0, 0, {})
    assert await house.tick() == []
    house.living = [living("a"), living("b"), living("c")]
    (third,) = await house.tick()
    assert third.processes[0].values == {"rss": 5, "cpu": 1.235}


async def test_an_earlier_runs_sample_is_not_the_next_ones(house: House) -> None:
    house.living = [living("a")]
    house.listing.sampled(900, 30, {"a": {"rss": 5}})
    ((only,),) = [tuple(one.processes) for one in await house.tick()]
    assert (only.at, only.values) == (0, {})


async def test_a_list_that_is_full_says_how_many_are_missing(house: House) -> None:
    house.living = [living(f"t{n}") for n in range(MAX_PROCESSES + 3)]
    ((offered),) = await house.tick()
    assert (len(offered.processes), offered.more) == (MAX_PROCESSES, 3)
