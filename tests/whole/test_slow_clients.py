"""Two thousand clients that take their time keep nobody from being served (RELIABILITY P2)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs import Fleet, fleet, many_descriptors
from support.slow_clients import SlowClients

CLIENTS = 2_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with many_descriptors(4 * CLIENTS), fleet(tmp_path) as made:
        made.start_master()
        made.start_agent()
        yield made


@pytest.mark.long
def test_two_thousand_slow_clients_are_let_go_while_others_are_served(running: Fleet) -> None:
    slow = SlowClients(int(running.url.rpartition(":")[2]), CLIENTS)
    served = []

    def ask() -> None:
        assert running.ask("GET", "/api/v1/agents/1:1")[0] == 200
        served.append(len(slow))

    slow.go_on(ask)
    assert served[0] > CLIENTS / 2
    assert len(served) > 10
    assert slow.answers["408"] > CLIENTS * 0.9
    assert set(slow.answers) <= {"408", ""}
