"""States of a task and how it got there (DESIGN 7, RELIABILITY 2.2)."""

from typing import Final, Literal

TaskState = Literal["BLOCKED", "QUEUED", "SENT", "RUNNING", "OK", "ERROR", "TIMEOUT", "KILLED"]
FinalState = Literal["OK", "ERROR", "TIMEOUT", "KILLED"]

TASK_STATES: Final[tuple[TaskState, ...]] = ("BLOCKED", "QUEUED", "SENT", "RUNNING", "OK", "ERROR", "TIMEOUT", "KILLED")
FINAL: Final = frozenset({"OK", "ERROR", "TIMEOUT", "KILLED"})
