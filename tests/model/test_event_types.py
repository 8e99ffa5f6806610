"""Types of events: all that scripts write are known, and a misspelt one is told."""

import re
from pathlib import Path

import pytest

from deployer.model.events import TYPES, unknown
from deployer.model.schedules import Outcome

SCRIPTS = Path(__file__).resolve().parents[2] / "src" / "deployer" / "stores" / "scripts"


def test_every_type_that_a_script_writes_is_known_and_no_other_is() -> None:
    texts = [path.read_text() for path in SCRIPTS.glob("*.lua")]
    written = {name for text in texts for name in re.findall(r"event\([\w\[\]]+, '([a-z]+\.[a-z]+)'", text)}
    of_firings = {f"schedule.{one}" for one in Outcome.__args__}  # type: ignore[attr-defined]  # a Literal
    assert written | of_firings == set(TYPES)


@pytest.mark.parametrize("types", [["job"], ["job.state", "schedule"], list(TYPES), []])
def test_what_is_known_is_no_trouble(types: list[str]) -> None:
    assert unknown(types) is None


@pytest.mark.parametrize("one", ["jobs", "job.stat", "job.", "", "*", "deployer"])
def test_what_is_misspelt_is_told_with_what_there_is(one: str) -> None:
    found = unknown(["job", one])
    assert found is not None
    assert "agent" in found
