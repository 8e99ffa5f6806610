"""Hosts in few words, and output in groups."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.cli.fold import fold
from deployer.cli.groups import Group, grouped
from deployer.cli.merge import short_ids
from deployer.cli.progress import in_words
from deployer.client.records import Message, Task


@pytest.mark.parametrize(
    ("agents", "folded"),
    [
        ([], ""),
        (["1:7"], "1:7"),
        (["1:2", "1:1"], "1:[1-2]"),
        ([f"1:{n}" for n in (*range(1, 41), 42)], "1:[1-40],1:42"),
        (["2:1", "1:9", "1:10", "1:10"], "1:[9-10],2:1"),
        (["1:1", "web", "2:2"], "1:1,2:2,web"),
    ],
)
def test_neighbours_are_ranges(agents: list[str], folded: str) -> None:
    assert fold(agents) == folded


@given(st.sets(st.tuples(st.integers(1, 3), st.integers(1, 30))))
def test_nothing_is_lost_by_folding(numbers: set[tuple[int, int]]) -> None:
    found = set()
    for part in filter(None, fold(f"{gid}:{nid}" for gid, nid in numbers).split(",")):
        gid, _, nids = part.partition(":")
        first, _, last = nids.strip("[]").partition("-")
        found |= {(int(gid), nid) for nid in range(int(first), int(last or first) + 1)}
    assert found == numbers


def said(agent: str, data: str, level: int = 1) -> Message:
    return Message(agent, level, data, {})


def task(nid: int, state: str = "OK", **more: str) -> Task:
    return Task.read({"id": "j", "agent": {"gid": 1, "nid": nid}, "state": state, **more})


def test_those_that_said_the_same_and_ended_the_same_are_one_group() -> None:
    messages = [said("1:2", "b"), said("1:1", "a\nb"), said("1:3", "a"), said("1:3", "b"), said("1:9", "w", 7)]
    tasks = [task(1), task(2), task(3), task(4), task(9, "ERROR", code="EXIT_STATUS", reason="exit status 3")]
    assert grouped(messages, tasks) == [
        Group(["1:1", "1:3"], "", ("a", "b")),
        Group(["1:2"], "", ("b",)),
        Group(["1:4"], "", ()),
        Group(["1:9"], "ERROR EXIT_STATUS (exit status 3)", ("warning: w",)),
    ]


def test_how_far_it_is_in_words() -> None:
    assert in_words({"OK": 37, "ERROR": 1, "KILLED": 1, "RUNNING": 3, "SENT": 1, "QUEUED": 2}) == (
        "37 OK, 2 failed, 3 running, 3 waiting"
    )
    assert in_words({}) == "0 OK"


def test_ids_are_told_apart_by_their_ends() -> None:
    assert short_ids(["0199aaaa1111", "0199aaaa2222"]) == {"0199aaaa1111": "1111", "0199aaaa2222": "2222"}
    assert short_ids(["x", "x1"]) == {"x": "x", "x1": "x1"}
