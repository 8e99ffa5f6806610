"""Flushes of points on their way to the master: on the disk as soon as they are made, posted oldest first.

What the master does not acknowledge stays, over a restart too; over `most_bytes` the oldest are dropped and counted.
"""

import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from twisted.logger import Logger

from deployer.protocol.stats import Flush, StatsBatch
from deployer_agent.outbox.batch import Batch
from deployer_agent.outbox.spool import Spool

IN_MEMORY: Final = 16
"""So many of the oldest wait in memory; the rest is read from the disk when its turn comes."""

_encode = msgspec.json.Encoder().encode


class StatsOutbox:
    """Takes flushes, gives out one batch at a time. `ready` is called when there is one to post.

    `may_write`: whether the disk has room for what is not the journal.
    """

    log = Logger()

    def __init__(self, spool: Spool, most_bytes: int, may_write: Callable[[], bool] = lambda: True) -> None:
        self._spool = spool
        self._most_bytes = most_bytes
        self._may_write = may_write
        self._boot = secrets.token_hex(16)
        self._seq = 0
        self._batches: deque[Batch] = deque(spool.left)
        self._loading = False
        self.size = sum(batch.size for batch in spool.left)
        self.dropped = 0
        self.ready: Callable[[], None] = _nobody

    def add(self, flush: Flush) -> None:
        """Take one more."""
        self._seq += 1
        body = _encode(StatsBatch(boot=self._boot, seq=self._seq, flushes=[flush]))
        batch = Batch(self._boot, self._seq, len(body), (), body)
        self._batches.append(batch)
        self.size += batch.size
        if self._may_write():
            batch.storing = True
            self._spool.write(batch).addCallbacks(self._stored, self._not_stored, (batch,), errbackArgs=(batch,))
        self._bound()
        self.ready()

    def take(self) -> Batch | None:
        """Return what is to be posted next; the same until it is acknowledged. None: nothing, or not at hand yet."""
        if not self._batches:
            return None
        head = self._batches[0]
        if head.body is None:
            self._load(head)
            return None
        return head

    def acknowledge(self, batch: Batch) -> None:
        """Forget what the master has stored."""
        if not batch.gone:
            self._forget(batch)

    def refuse(self, batch: Batch, why: str) -> None:
        """Let go of what the master will never take."""
        self.log.error("the master does not take statistics: {error}", error=why)
        self._drop(batch)

    def _load(self, batch: Batch) -> None:
        if not self._loading:
            self._loading = True
            self._spool.load(batch).addBoth(self._loaded, batch)

    def _loaded(self, body: object, batch: Batch) -> None:
        self._loading = False
        if isinstance(body, bytes):
            batch.body = body
        else:
            self.log.error("statistics could not be read from the disk: {error}", error=str(body))
            self._drop(batch)
        self.ready()

    def _stored(self, _: None, batch: Batch) -> None:
        batch.storing, batch.stored = False, True
        if batch.gone:
            self._spool.delete(batch).addErrback(lambda _: None)
        elif len(self._batches) > IN_MEMORY and batch is not self._batches[0]:
            batch.body = None

    def _not_stored(self, error: object, batch: Batch) -> None:
        batch.storing = False
        self.log.error("statistics could not be written to the disk: {error}", error=str(error))

    def _bound(self) -> None:
        """Drop the oldest, but for the one that may be on its way; in memory only a few when there is no room."""
        while len(self._batches) > 1 and self.size > self._most_bytes:
            self._drop(self._batches[1])
        unwritten = [batch for batch in self._batches if not batch.stored and not batch.storing]
        for batch in unwritten[1 : max(1, len(unwritten) - IN_MEMORY)]:
            self._drop(batch)

    def _drop(self, batch: Batch) -> None:
        if not batch.gone:
            self.dropped += 1
            self._forget(batch)

    def _forget(self, batch: Batch) -> None:
        batch.gone = True
        self._batches.remove(batch)
        self.size -= batch.size
        if batch.stored:
            self._spool.delete(batch).addErrback(lambda _: None)


def _nobody() -> None:
    """Nobody posts yet."""
