"""What is shown as current, by tables and against what arrived."""

from hypothesis import given
from hypothesis import strategies as st

from deployer.model import current
from deployer.model.current import Row, kept_s, updated
from deployer.model.retention import POINT_FUTURE_S, POINT_PAST_S, is_timely
from deployer.protocol.stats import Flush, Point


def flush(at: int, *points: tuple[str, str, float], step: int = 30) -> Flush:
    return Flush(at, step, [Point(name and "d", name, key, "last", value) for name, key, value in points])


def shown(*flushes: Flush) -> dict[str, tuple[int, dict[str, float]]]:
    rows = updated([], flushes).rows
    return {row.name: (row.at, row.values) for row in rows}


def test_a_slot_replaces_the_one_before_and_adds_to_itself() -> None:
    first = flush(0, ("", "cpu", 1), ("a", "x", 1), ("a", "y", 2))
    assert shown(first, flush(30, ("a", "x", 3)), flush(30, ("a", "z", 4), ("a", "x", 5))) == {
        "": (0, {"cpu": 1}),
        "a": (30, {"x": 5, "z": 4}),
    }


def test_what_arrives_last_counts_also_when_the_clock_was_put_back() -> None:
    assert shown(flush(330, ("a", "x", 1)), flush(30, ("a", "x", 2))) == {"a": (30, {"x": 2})}


def test_a_process_that_ended_is_shown_no_longer_than_its_step_allows() -> None:
    slow = Flush(0, 3600, [Point("d", "slow", "x", "last", 1)])
    first = flush(0, ("gone", "x", 1), ("", "cpu", 1))
    assert set(shown(slow, first, flush(360, ("", "cpu", 2)))) == {"slow", "gone", ""}
    assert set(shown(slow, first, flush(390, ("", "cpu", 2)))) == {"slow", ""}
    assert set(shown(slow, first, flush(7530, ("", "cpu", 2)))) == {""}


def test_an_agent_with_too_many_numbers_shows_some_and_they_are_counted() -> None:
    many = flush(0, *((f"n{n % 10}", f"k{n}", 1) for n in range(current.MAX_VALUES + 7)))
    after = updated([], [many])
    assert (sum(len(row.values) for row in after.rows), after.over) == (current.MAX_VALUES, 7)
    again = updated(after.rows, [flush(30, ("n0", "new", 1), ("n1", "new", 1))])
    assert again.over == 0


def test_rows_are_kept_until_the_next_slot_is_overdue() -> None:
    assert kept_s([]) == current.KEEP_S
    assert kept_s([Row("", "", 0, 30, {}), Row("d", "n", 0, 120, {})]) == 240 + current.KEEP_S


def test_times_far_off_are_not_kept() -> None:
    now = 10**9
    assert [is_timely(at, now) for at in (now, now + POINT_FUTURE_S, now + POINT_FUTURE_S + 1)] == [True, True, False]
    assert [is_timely(at, now) for at in (now - POINT_PAST_S, now - POINT_PAST_S - 1)] == [True, False]


_flushes = st.lists(
    st.builds(
        lambda slot, points: flush(slot * 30, *points),
        st.integers(0, 5),
        st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from("xyz"), st.floats(0, 9)), max_size=5),
    ),
    max_size=8,
)


@given(_flushes, st.integers(0, 8))
def test_it_makes_no_difference_how_flushes_come_in_batches(flushes: list[Flush], cut: int) -> None:
    rows = updated([], flushes).rows
    assert updated(updated([], flushes[:cut]).rows, flushes[cut:]).rows == rows
    for row in rows:
        seen = [f for f in flushes if any(p.name == row.name for p in f.points)]
        assert row.at == seen[-1].at
