"""Which jobs are there for whom: those on agents that a caller may use."""

from deployer.errors import ForbiddenError, NotFoundError
from deployer.model.access import Caller
from deployer.stores.jobs import JobRecord


def is_seen(caller: Caller, record: JobRecord) -> bool:
    """Whether a job is on an agent that the caller may use; a damaged one is on none."""
    try:
        return caller.agents is None or any(map(caller.sees, record.document.places))
    except ValueError:
        return False


def require_all(caller: Caller, record: JobRecord) -> None:
    """ForbiddenError for a job that is also on agents that the caller may not use: what is done is done to them."""
    if not all(map(caller.sees, record.document.places)):
        raise ForbiddenError("this job is also on agents that you may not use")


def require_seen(caller: Caller, record: JobRecord) -> None:
    """NotFoundError for a job on an agent that the caller may not use, as for one that does not exist."""
    if not is_seen(caller, record):
        raise NotFoundError("this job does not exist")


def known_id(job: str) -> str:
    """The id in a path: what cannot be one does not exist."""
    if len(job) > 128 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in job):  # noqa: PLR2004 (ids.JobId)
        raise NotFoundError("this job does not exist")
    return job
