"""What follows for a job with a plan, and where its tasks come: tables and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.placement import Seat, seated
from deployer.model.plans import Dependency, End, Make, Planned, Requires, Standing, Wait, step, window
from deployer.protocol.ids import AgentId
from deployer.protocol.states import TASK_STATES, TaskState

A, B, C = (AgentId(1, number) for number in (1, 2, 3))
ANY = Requires()


def standing(**given: object) -> Standing:
    usual: dict[str, object] = {"counts": {"BLOCKED": 10}, "depends_on": (), "ends": {}, "not_after": 100, "now": 0}
    return Standing(**{**usual, **given})  # type: ignore[arg-type]  # a table's values


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, Make(100)),
        ({"now": 100}, End("ERROR", "EXPIRED", "not started before its not_after")),
        ({"window": 3}, Make(3)),
        ({"window": 3, "counts": {"BLOCKED": 5, "QUEUED": 1, "RUNNING": 1, "OK": 9}}, Make(1)),
        (
            {"window": 3, "counts": {"BLOCKED": 5, "SENT": 1, "RUNNING": 2}},
            Wait("waits for its turn: at most 3 at once"),
        ),
        ({"max_failures": 2, "counts": {"BLOCKED": 5, "ERROR": 1, "OK": 7}}, Make(100)),
        (
            {"max_failures": 2, "counts": {"BLOCKED": 5, "TIMEOUT": 1, "KILLED": 1}},
            End("ERROR", "ROLLOUT_STOPPED", "not started: 2 tasks of its job had failed"),
        ),
        ({"depends_on": [Dependency("a")]}, Wait("waits for job a")),
        ({"depends_on": [Dependency("a"), Dependency("b"), Dependency("c")]}, Wait("waits for job a and 2 more")),
        (
            {"depends_on": [Dependency("a"), Dependency("b")], "ends": {"b": "ERROR"}},
            End("ERROR", "DEPENDENCY_FAILED", "not started: job b ended as ERROR"),
        ),
        ({"depends_on": [Dependency("a", "always")], "ends": {"a": "KILLED"}}, Make(100)),
        (
            {"depends_on": [Dependency("a", "failure")], "ends": {"a": "OK"}},
            End("KILLED", "CANCELLED", "not needed: job a ended well"),
        ),
    ],
)
def test_what_is_to_be_done(given_: dict[str, object], expected: object) -> None:
    assert step(standing(**given_)) == expected


@given(
    st.dictionaries(st.sampled_from(TASK_STATES), st.integers(0, 50)),
    st.integers(0, 20),
    st.integers(0, 5),
)
def test_never_more_at_once_than_may_be_and_none_after_too_many_failures(
    counts: dict[TaskState, int], size: int, most: int
) -> None:
    its = standing(counts=counts, window=size, max_failures=most)
    found = step(its)
    if isinstance(found, Make) and size:
        assert its.made + found.most <= size
    if most and its.failures >= most:
        assert isinstance(found, End)


@pytest.mark.parametrize(
    ("size", "total", "expected"), [(5, 3, 5), ("100%", 7, 7), ("50%", 7, 3), ("1%", 7, 1), ("33%", 300, 99)]
)
def test_a_part_is_at_least_one(size: int | str, total: int, expected: int) -> None:
    assert window(size, total) == expected


def test_the_id_of_a_task_says_which_item_it_is() -> None:
    assert (Planned(n=7).task_id("j"), Planned("1:1").task_id("j")) == ("j:7", "j")


@pytest.mark.parametrize(
    ("seats", "wanted", "requires", "expected"),
    [
        ([Seat(agent=A, jobs=2), Seat(agent=B)], [None, None, None], ANY, [B, B, A]),
        ([Seat(agent=A, online=False), Seat(agent=B, jobs=9)], [None, None], ANY, [B, B]),
        ([Seat(agent=A, online=False), Seat(agent=B, max_jobs=1)], [None, None], ANY, [B, A]),
        ([Seat(agent=A, max_ram=100)], [None, None, None], Requires(ram=40), [A, A, None]),
        ([Seat(agent=A, max_load=1000)], [None, None, None], Requires(load=0.5), [A, A, None]),
        ([Seat(agent=A, max_ram=0)], [None], ANY, [A]),
        ([Seat(agent=A, gone=True)], [None], ANY, [None]),
        ([Seat(agent=A, gone=True)], [A], ANY, [A]),
        ([], [C], ANY, [C]),
        ([Seat(agent=A, max_jobs=1), Seat(agent=B)], [A, A, None], ANY, [A, None, B]),
    ],
)
def test_tasks_come_to_those_with_room_and_the_least_to_do(
    seats: list[Seat], wanted: list[AgentId | None], requires: Requires, expected: list[AgentId | None]
) -> None:
    free = frozenset(one.agent for one in seats)
    found = seated(seats, free, wanted, requires)
    assert [None if one is None else one.agent for one in found] == expected


_seats = st.lists(
    st.builds(
        Seat,
        agent=st.builds(AgentId, st.just(1), st.integers(1, 6)),
        online=st.booleans(),
        gone=st.booleans(),
        jobs=st.integers(0, 5),
        ram=st.integers(0, 100),
        max_jobs=st.none() | st.integers(0, 8),
        max_ram=st.none() | st.integers(0, 200),
    ),
    unique_by=lambda one: one.agent,
    max_size=6,
)


@given(_seats, st.integers(0, 20), st.integers(0, 60))
def test_no_agent_gets_more_than_it_has_room_for(seats: list[Seat], count: int, ram: int) -> None:
    requires = Requires(ram=ram)
    found = seated(seats, frozenset(one.agent for one in seats), [None] * count, requires)
    assert len(found) == count
    for seat in seats:
        got = sum(one is not None and one.agent == seat.agent for one in found)
        assert not (got and seat.gone)
        assert got == 0 or seat.max_jobs is None or seat.jobs + got <= seat.max_jobs
        assert got == 0 or not ram or seat.max_ram is None or seat.ram + got * ram <= seat.max_ram
