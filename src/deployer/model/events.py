"""Types of events: `job.state` is one, and `job` stands for all of its kind. Pure."""

from collections.abc import Iterable


def is_wanted(types: Iterable[str], kind: str) -> bool:
    """Whether a type is one of these, or of the kind of one."""
    return any(kind == one or kind.startswith(f"{one}.") for one in types)
