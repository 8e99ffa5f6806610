"""Everything in Redis has an end (DESIGN 6)."""

from typing import Final

FINISHED_MS: Final = 7 * 86400 * 1000
FINISHED_PER_COMPANY: Final = 100_000
EVENTS_PER_COMPANY: Final = 100_000
SCRIPTS_PER_COMPANY: Final = 1000
VERSIONS_PER_SCRIPT: Final = 20
VERSIONS_PER_HOST: Final = 100
VERSION_BYTES: Final = 16 * 1024
"""Most of the changes of one version of a host's facts; what is more is counted."""
PROCESSES_S: Final = 7 * 86400
"""How long the list of an agent's processes stays that is not heard of any more."""
RUNS_PER_TASK: Final = 100
POINT_ENTRIES_PER_COMPANY: Final = 10_000
POINT_BYTES_PER_COMPANY: Final = 64 * 1024 * 1024
POINT_ENTRY_BYTES: Final = 64 * 1024
POINT_PAST_S: Final = 8 * 86400
POINT_FUTURE_S: Final = 3600
REPLY_MS: Final = 86400 * 1000
"""How long a result waits in `cmds_queue_<id>`."""
CLAIM_MS: Final = 86400 * 1000
CLAIMS_PER_COMPANY: Final = 100_000
"""Requests with an Idempotency-Key."""
AUDIT_ENTRIES_PER_COMPANY: Final = 1_000_000
"""Older ones are exported to files first."""
KILL_S: Final = 86400
"""How long the record of a kill is kept after its end."""


def is_timely(at: float, now: float) -> bool:
    """Whether numbers of this time are kept; both in epoch seconds. What an agent's wrong clock says is not."""
    return now - POINT_PAST_S <= at <= now + POINT_FUTURE_S


def surplus(count: int, limit: int, batch: int) -> int:
    """How many of the oldest go in this round."""
    return max(0, min(count - limit, batch))
