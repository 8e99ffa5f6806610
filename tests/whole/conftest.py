"""The usual fleet: one master and one agent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs import Fleet, fleet


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as made:
        made.start_master()
        made.start_agent()
        yield made
