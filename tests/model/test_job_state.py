import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.jobs import job_state
from deployer.protocol.states import FINAL, TASK_STATES, TaskState


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({"BLOCKED": 2}, "BLOCKED"),
        ({"QUEUED": 2}, "QUEUED"),
        ({"SENT": 1}, "SENT"),
        ({"QUEUED": 1, "SENT": 1}, "SENT"),
        ({"QUEUED": 1, "RUNNING": 1}, "RUNNING"),
        ({"QUEUED": 1, "OK": 1}, "RUNNING"),
        ({"OK": 3}, "OK"),
        ({"OK": 3, "KILLED": 1}, "KILLED"),
        ({"OK": 3, "KILLED": 1, "TIMEOUT": 1}, "TIMEOUT"),
        ({"KILLED": 1, "TIMEOUT": 1, "ERROR": 1}, "ERROR"),
    ],
)
def test_a_job_stands_as_its_tasks_do(counts: dict[TaskState, int], state: TaskState) -> None:
    assert job_state(counts) == state


@given(st.dictionaries(st.sampled_from(TASK_STATES), st.integers(0, 3), min_size=1))
def test_a_job_is_final_exactly_when_no_task_is_open(counts: dict[TaskState, int]) -> None:
    still_open = any(n for state, n in counts.items() if state not in FINAL)
    assert (job_state(counts) in FINAL) is not still_open
