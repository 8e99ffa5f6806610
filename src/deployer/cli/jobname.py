"""Which job is meant: by its id, by the beginning of it, or as `@last`."""

import re
from typing import Final

from deployer.client.client import Client
from deployer.client.errors import ApiError

LAST: Final = "@last"
_READS: Final = frozenset({"get_msgs"})
"""What is asked of an agent when a log is read: nobody means these by their last job."""
LEAST: Final = 8
"""So much of an id is needed."""

NEWEST: Final = 100
NOT_FOUND: Final = 404
_WHOLE: Final = re.compile("[0-9a-f]{32}")


def job_id(client: Client, word: str) -> str:
    """The id that a word means; ApiError 404 when it is none's, or that of several."""
    if word == LAST:
        return _last(client)
    if len(word) < LEAST or _WHOLE.fullmatch(word) or _is_there(client, word):
        return word
    found = [job.id for job in client.jobs(limit=NEWEST) if job.id.startswith(word)]
    if len(found) > 1:
        raise _none(f"{len(found)} jobs begin with {word!r}: give more of the id")
    if not found:
        raise _none(f"no job has the id {word!r}, and none of the newest {NEWEST} begins so")
    return found[0]


def _last(client: Client) -> str:
    user = str(client.get("/api/v1/user").get("user") or "")
    found = next((job for job in client.jobs(limit=NEWEST, user=user) if job.cmd not in _READS), None)
    if found is None:
        raise _none(f"{LAST}: {user} has no jobs")
    return found.id


def _is_there(client: Client, word: str) -> bool:
    try:
        client.job(word)
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
        return False
    return True


def _none(why: str) -> ApiError:
    return ApiError(NOT_FOUND, "not_found", why)
