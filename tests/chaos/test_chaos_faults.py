"""What the runner does with faults: a proxy breaks what it says, a plan has all that was asked, what fails is told."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import pytest

from chaos.checker import Verdict
from chaos.faults import Fault, Happened, Tormentor, UnprovenError
from chaos.plan import POINTS, plan
from chaos.proxies import ACCEPT, Mode, Proxy
from chaos.runner import TRIES, Lane, Outcome
from deployer.protocol.failpoints import AGENT, MASTER

CHANCE = random.Random(1)  # noqa: S311 (chance, no secret)
GOOD = Verdict(1, 0, 0, 0, 0, 0, [])


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy(("127.0.0.1", 0), ("127.0.0.1", 1))
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["slow", "cut", "deaf"])
def test_a_proxy_lets_nothing_through_in_time_while_it_is_told_so(proxy: Proxy, mode: Mode) -> None:
    assert proxy.passes()
    proxy.turn(mode)
    assert not proxy.passes()
    proxy.turn("pass")
    assert proxy.passes()


def test_a_lapse_stops_acceptances_and_nothing_else(proxy: Proxy) -> None:
    proxy.turn("lapse")
    assert (proxy.passes(), proxy.passes(ACCEPT)) == (True, False)


def test_a_plan_has_every_kill_every_failpoint_and_every_other_kind() -> None:
    lanes = plan(100, 2, 3, POINTS, CHANCE)
    faults = Counter(fault for faults in lanes.values() for fault in faults)
    assert sum(times for fault, times in faults.items() if fault.kind == "kill") == 100
    crashes = Counter(dict.fromkeys(POINTS, 0))
    for fault, times in faults.items():
        crashes[fault.point] += times if fault.kind in {"crash", "join"} else 0
    assert set(crashes.values()) - {0} == {2}
    assert {point for point, times in crashes.items() if times} == {*MASTER, *AGENT} - {"tasks_added"}
    kinds = Counter(fault.kind for faults in lanes.values() for fault in faults)
    others = ("stop", "hold", "lose-out", "lose-back", "lose-both", "reset", "slow", "cut", "deaf", "lapse")
    assert [kinds[kind] for kind in others] == [3] * len(others)


class _Tormentor:
    """Whose faults show at the n-th try."""

    def __init__(self, shows_at: int) -> None:
        self.tries = 0
        self._shows_at = shows_at

    def happen(self, fault: Fault) -> Happened:
        self.tries += 1
        if self.tries < self._shows_at:
            raise UnprovenError("it did not show")
        return Happened(fault, 0, 1)


@pytest.mark.parametrize(("shows_at", "missing"), [(1, 0), (TRIES, 0), (TRIES + 1, 1)])
def test_a_fault_that_never_shows_fails_the_run(shows_at: int, missing: int) -> None:
    tormentor = _Tormentor(shows_at)
    lane = Lane([Fault("kill", "redis")], cast(Tormentor, tormentor), time.monotonic(), CHANCE)
    lane.run()
    assert (len(lane.happened), len(lane.missing)) == (1 - missing, missing)
    assert Outcome(GOOD, lane.happened, lane.missing, 1.0).is_good is (not missing)
