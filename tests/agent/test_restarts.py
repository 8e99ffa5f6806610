"""When a process is started again, by tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer_agent.processes.restarts import Again, Due, Over, RunEnd, Terms, after, delay, next_due

LONG = Terms(long_running=True, restarts=5)
ONCE = Terms()
RETRIED = Terms(restarts=2)
RECURRING = Terms(period_s=60)


def end(*, failed: bool = True, asked: bool = False, took_s: float = 1) -> RunEnd:
    return RunEnd(failed=failed, asked=asked, took_s=took_s)


@pytest.mark.parametrize(
    ("terms", "ended", "early", "verdict"),
    [
        (ONCE, end(failed=False), 0, Over()),
        (ONCE, end(), 0, Over()),
        (RETRIED, end(failed=False), 1, Over()),
        (RETRIED, end(), 0, Again(1, 1)),
        (RETRIED, end(), 1, Again(2, 2)),
        (RETRIED, end(), 2, Over(given_up=True)),
        (RETRIED, end(took_s=300), 2, Again(0, 1)),
        (RETRIED, end(asked=True), 0, Over()),
        (LONG, end(failed=False), 0, Again(1, 1)),
        (LONG, end(failed=False, took_s=300), 5, Again(0, 1)),
        (LONG, end(took_s=299.9), 4, Again(5, 16)),
        (LONG, end(), 5, Over(given_up=True)),
        (LONG, end(asked=True), 5, Again(5, 1)),
        (RECURRING, end(failed=False), 0, Again(0, None)),
        (RECURRING, end(), 99, Again(0, None)),
        (RECURRING, end(asked=True), 0, Again(0, None)),
        (Terms(long_running=True, restarts=0), end(), 0, Over(given_up=True)),
        (Terms(long_running=True, restarts=0), end(took_s=3600), 0, Again(0, 1)),
    ],
)
def test_what_follows_a_run(terms: Terms, ended: RunEnd, early: int, verdict: Again | Over) -> None:
    assert after(terms, ended, early) == verdict


def test_the_wait_doubles_up_to_a_minute() -> None:
    assert [delay(early) for early in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]
    assert delay(10**9) == 60


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (0, 0, Due(10_000, 0)),
        (0, 9_999, Due(10_000, 0)),
        (0, 10_000, Due(20_000, 1)),
        (0, 35_000, Due(40_000, 3)),
        (50_000, 40_000, Due(60_000, 0)),
    ],
)
def test_missed_periods_are_counted_and_not_made_up_for(last: int, now: int, due: Due) -> None:
    assert next_due(last, 10, now) == due


@given(st.integers(0, 10**13), st.integers(1, 10**9), st.integers(0, 10**13))
def test_the_next_run_is_on_the_grid_and_in_the_future(last: int, period: int, later: int) -> None:
    due = next_due(last, period, last + later)
    assert due.at > last + later
    assert due.at - (last + later) <= period * 1000
    assert (due.at - last) == (due.missed + 1) * period * 1000
