"""Records are made of whatever a master sends: what a field cannot be is as if it were not there."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployer.client.records import Agent, AgentStats, Host, Job, Message, Process, Task

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.sampled_from(["id", "gid", "counts", "OK"]), LEAVES)
NAMES = [
    "id",
    "state",
    "cmd",
    "target",
    "tasks",
    "agent",
    "user",
    "level",
    "gid",
    "nid",
    "values",
    "host",
    "epoch",
    "data",
]
KINDS: tuple[Any, ...] = (Agent, AgentStats, Host, Job, Message, Process, Task)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_any_document_makes_a_record(document: dict[str, Any]) -> None:
    for kind in KINDS:
        assert kind.read(document).document is document


@given(st.dictionaries(st.just("counts"), VALUES))
def test_counts_are_numbers(tasks: dict[str, Any]) -> None:
    assert all(isinstance(count, int) for count in Job.read({"tasks": tasks}).counts.values())
