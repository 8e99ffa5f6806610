"""Lists of processes as agents post them."""

from collections.abc import Mapping
from typing import Any

STARTED = 1_700_000_000_000


def live(
    task: str,
    *,
    run: int = 1,
    pid: int = 4242,
    domain: str = "web",
    name: str = "nginx",
    values: Mapping[str, float] | None = None,
) -> list[Any]:
    """One process; sampled when it has values."""
    sample = [] if values is None else [1_700_000_010, 30, dict(values)]
    return [task, run, pid, STARTED, domain, name, *sample]


def listing(*processes: list[Any], more: int = 0) -> dict[str, Any]:
    """What is posted of them."""
    return {"processes": list(processes), "more": more}
