"""The state of a job from the states of its tasks (DESIGN 7)."""

from collections.abc import Mapping
from typing import Final

from deployer.protocol.states import FINAL, TASK_STATES, TaskState

_WORST_FIRST: Final[tuple[TaskState, ...]] = ("ERROR", "TIMEOUT", "KILLED")


def job_state(counts: Mapping[TaskState, int]) -> TaskState:
    """BLOCKED, QUEUED or SENT while all are, RUNNING while any is open and one has moved on, then the worst."""
    present: list[TaskState] = [state for state in TASK_STATES if counts.get(state, 0) > 0]
    still_open = [state for state in present if state not in FINAL]
    if not still_open:
        return _worst(present)
    return still_open[0] if len(still_open) == 1 and len(present) == 1 else _moved_on(still_open, present)


def _worst(present: list[TaskState]) -> TaskState:
    for state in _WORST_FIRST:
        if state in present:
            return state
    return "OK"


def _moved_on(still_open: list[TaskState], present: list[TaskState]) -> TaskState:
    """Mixed states: RUNNING as soon as one task runs or has ended, else the furthest that is open."""
    if "RUNNING" in still_open or len(present) > len(still_open):
        return "RUNNING"
    return still_open[-1]
