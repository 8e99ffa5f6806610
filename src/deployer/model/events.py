"""Types of events: `job.state` is one, and `job` stands for all of its kind. Pure."""

from collections.abc import Iterable
from typing import Final

TYPES: Final = (
    "job.state",
    "job.changed",
    "task.state",
    "task.corrupt",
    "agent.joined",
    "agent.state",
    "agent.duplicate",
    "monitor.breached",
    "monitor.cleared",
    "schedule.fired",
    "schedule.skipped",
    "schedule.missed",
    "schedule.refused",
    "schedule.changed",
    "schedule.removed",
)
"""All that scripts write."""

KINDS: Final = tuple(dict.fromkeys(one.partition(".")[0] for one in TYPES))


def is_wanted(types: Iterable[str], kind: str) -> bool:
    """Whether a type is one of these, or of the kind of one."""
    return any(kind == one or kind.startswith(f"{one}.") for one in types)


def unknown(types: Iterable[str]) -> str | None:
    """The first of these that is no type and no kind, with what there is; None when all are some."""
    for one in types:
        if one not in TYPES and one not in KINDS:
            return f"there are no events {one[:40]!r}, only those of {', '.join(KINDS)}, as {TYPES[0]}"
    return None
