"""What Redis says when it does not do what it is asked, as our errors."""

import re
from typing import Any, Final

import txredisapi
from twisted.internet.defer import Deferred

from deployer.errors import NoSpaceError, UnavailableError

_TEMPORARY: Final = frozenset(
    {"LOADING", "BUSY", "MASTERDOWN", "READONLY", "MISCONF", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS"}
)
_IN_SCRIPT = re.compile(r"(?:^|[ :-])([A-Z]{3,12}) ")


async def translated(reply: "Deferred[Any]") -> Any:
    """Wait for a reply; UnavailableError for what passes, NoSpaceError without memory, else what Redis said."""
    try:
        return await reply
    except txredisapi.ConnectionError as error:
        raise UnavailableError("Redis went away before it answered; try again in a moment") from error
    except txredisapi.ResponseError as error:
        word = reason(str(error))
        if word == "OOM":
            raise NoSpaceError("Redis has reached its memory limit") from error
        if word in _TEMPORARY:
            raise UnavailableError(f"Redis is not ready: {word}; try again in a moment") from error
        raise


def reason(text: str) -> str:
    """The first word of an error, or, as Redis 6 tells of scripts, the word in the middle that says what it was."""
    first = text.partition(" ")[0]
    if "rror running script" not in text:
        return first
    return next((word for word in _IN_SCRIPT.findall(text) if word in _TEMPORARY or word == "OOM"), first)
