"""Exit codes, which scripts compare (CONVENTIONS: 0 all OK, 1 some host failed, and what is below)."""

import signal
from collections.abc import Sequence
from typing import Final

from deployer.client.errors import ApiError, ClientError, Unreachable
from deployer.client.records import Job, Task

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
FORBIDDEN: Final = 3
NOT_FOUND: Final = 4
UNREACHABLE: Final = 5
TIMEOUT: Final = 124
INTERRUPTED: Final = 130
_BY_SIGNAL: Final = 128
NO_AGENT: Final = "no_matching_agent"

_STATUS: Final = {400: USAGE, 401: FORBIDDEN, 403: FORBIDDEN, 404: NOT_FOUND, 413: USAGE, 422: USAGE}
_STATUS_AWAY: Final = {502: UNREACHABLE, 503: UNREACHABLE, 504: UNREACHABLE}


def of_error(error: ClientError) -> int:
    """What an error of the client exits with."""
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, ApiError):
        if error.code == NO_AGENT:
            return NOT_FOUND
        return (_STATUS | _STATUS_AWAY).get(error.status, FAILED)
    return USAGE


def of_job(job: Job) -> int:
    """What a job that was waited for exits with; one that is not final took too long."""
    return {"OK": OK, "TIMEOUT": TIMEOUT}.get(job.state, FAILED if job.final else TIMEOUT)


def of_tasks(job: Job, tasks: Sequence[Task]) -> int:
    """The status of the one process a job ran, as a shell would give it; else that of the job."""
    if len(tasks) != 1 or tasks[0].state not in ("OK", "ERROR"):
        return of_job(job)
    name = str(tasks[0].document.get("signal") or "")
    if name in signal.Signals.__members__:
        return _BY_SIGNAL + signal.Signals[name]
    status = tasks[0].exit_status
    return of_job(job) if status is None else status
