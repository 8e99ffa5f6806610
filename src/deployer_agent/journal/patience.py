"""A write that a task hangs on is tried until it is on the disk: a full disk delays it and loses nothing."""

import sqlite3
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, sleep

_CAP_S: Final = 10.0
_log = Logger()


async def written(write: Callable[[], Deferred[None]], clock: Clock) -> None:
    """Write; when the database cannot, say so and try again."""
    backoff = Backoff(cap_s=_CAP_S)
    while True:
        try:
            return await write()
        except sqlite3.Error as error:
            _log.error("the journal cannot be written: {error}", error=str(error))
            await sleep(clock, backoff.next_delay())
