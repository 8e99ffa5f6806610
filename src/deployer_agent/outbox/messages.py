"""Messages on their way to the master: in order, one frozen batch at a time, acknowledged before they are forgotten.

They are held as encoded JSON, so that what is counted is what is held. While the master answers they stay in memory;
what it has not acknowledged after half a second goes to the disk, and everything behind it, so that jobs go on while it
is away. Over `most_bytes` there the oldest are dropped, counted, and told in the log of their task (I8).
"""

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.clock import Call, Clock
from deployer.protocol.messages import CUT, Message
from deployer_agent.outbox.batch import Batch, Piece, Share, Source, freeze
from deployer_agent.outbox.spool import Spool

BATCH_BYTES: Final = 512 * 1024
MAX_SOURCES: Final = 1000
FLUSH_S: Final = 0.03
SPILL_S: Final = 0.5
LONGEST_SPILL_S: Final = 4.0
MAX_BATCHES: Final = 20_000
PIECE_BYTES: Final = 256 * 1024
MAX_ENCODED: Final = 6 * PIECE_BYTES  # what a piece may become: `\u0001` for each control character
MESSAGE_BYTES: Final = 40  # what an empty one takes in its encoded form
COMPLAIN_S: Final = 60.0

_encode = msgspec.json.Encoder().encode


class Bounds(Struct, frozen=True):
    """In memory, and on the disk, in bytes."""

    memory: int
    disk: int


class Tell(Struct, frozen=True):
    """Who is told: `hold` to stop and go on reading what is printed, `report` a sentence for a source's log."""

    hold: Callable[[bool], None]
    report: Callable[[Source, str], None]


class _Loss(Struct):
    count: int
    first: int
    last: int


class MessageOutbox:
    """Takes what processes print, gives out batches. `ready` is called when there is something to post.

    `may_write`: whether the disk has room for what is not the journal.
    """

    log = Logger()

    def __init__(
        self, clock: Clock, spool: Spool, bounds: Bounds, tell: Tell, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._clock = clock
        self._spool = spool
        self._bounds = bounds
        self._tell = tell
        self._may_write = may_write
        self._boot = secrets.token_hex(16)
        self._seq = 0
        self._queue: deque[Piece] = deque()
        self._queued = 0
        self._batches: deque[Batch] = deque(spool.left)
        self._in_memory = 0
        self._on_disk = sum(batch.size for batch in spool.left)
        self._unacked: dict[str, int] = {}
        self._waiting: dict[str, Callable[[], None]] = {}
        self._lost: dict[Source, _Loss] = {}
        self._flush: Call | None = None
        self._spill: Call | None = None
        self._due = False
        self._held = False
        self._loading = False
        self._rounds = 0
        self._is_away = False
        self._quiet_until = 0.0
        self.dropped = 0
        self.ready: Callable[[], None] = _nobody
        for batch in spool.left:
            self._count(batch.shares)

    @property
    def size(self) -> int:
        """Bytes that are not acknowledged yet, wherever they are."""
        return self._queued + sum(batch.size for batch in self._batches)

    @property
    def kept(self) -> bool:
        """Whether all of them are on the disk, or about to be."""
        return not self._queue and all(batch.stored or batch.storing for batch in self._batches)

    @property
    def memory(self) -> int:
        """Bytes of them that are in memory."""
        return self._queued + self._in_memory

    def add(self, source: Source, messages: Sequence[Message]) -> None:
        """Take the messages of one task, in order."""
        part: list[Message] = []
        size = 0
        for message in messages:
            for piece in _cut(message):
                part.append(piece)
                size += len(piece.data) + MESSAGE_BYTES
                if size > PIECE_BYTES:
                    self._append(source, part)
                    part, size = [], 0
        if part:
            self._append(source, part)
        if self._is_away and self._queued >= BATCH_BYTES:
            self._to_disk()
        self._bound()
        self._schedule()

    def settle(self, task: str, then: Callable[[], None]) -> None:
        """Call when all messages of a task are acknowledged, or told as lost; they are sent without further delay."""
        self._report_lost(task)
        if task not in self._unacked:
            then()
            return
        self._waiting[task] = then
        self.flush()

    def flush(self) -> None:
        """Send what is there now."""
        self._due = True
        self.ready()

    def take(self) -> Batch | None:
        """Return what is to be posted next; the same until it is acknowledged. None: nothing, or not at hand yet."""
        if not self._batches and self._queue and (self._due or self._queued >= BATCH_BYTES):
            self._freeze()
        if not self._batches:
            return None
        head = self._batches[0]
        if head.body is None:
            self._load(head)
            return None
        self._watch()
        return head

    def acknowledge(self, batch: Batch) -> None:
        """Forget what the master has stored."""
        if not self._batches or self._batches[0] is not batch:
            return
        self._batches.popleft()
        self._forget(batch)
        if self._spill is not None:
            self._spill.cancel()
            self._spill = None
        self._rounds, self._is_away = 0, False
        for source in list(self._lost):
            self._report_lost(source.task)
        self._bound()

    def refuse(self, batch: Batch, why: str) -> None:
        """Let go of what the master will never take: it holds up nothing, and its tasks' logs say what is missing."""
        self._complain("the master does not take messages: {error}", why)
        if not batch.gone:
            self._drop(batch)

    def keep(self) -> None:
        """Write down all that is not acknowledged, since the agent ends."""
        self._to_disk()

    def _append(self, source: Source, part: Sequence[Message]) -> None:
        encoded = _encode(part)[1:-1]
        self._queue.append(Piece(source, encoded, len(part), part[0].epoch, part[-1].epoch))
        self._queued += len(encoded)
        self._unacked[source.task] = self._unacked.get(source.task, 0) + 1

    def _freeze(self) -> None:
        """Make one more batch of what is queued."""
        self._seq += 1
        pieces: list[Piece] = []
        sources: set[Source] = set()
        size = 0
        while self._queue and size < BATCH_BYTES and len(sources) < MAX_SOURCES:
            piece = self._queue.popleft()
            pieces.append(piece)
            sources.add(piece.source)
            size += len(piece.encoded)
        self._queued -= size
        self._in_memory += size
        self._due = bool(self._queue) and self._due
        self._batches.append(freeze(self._boot, self._seq, pieces))

    def _load(self, batch: Batch) -> None:
        if not self._loading:
            self._loading = True
            self._spool.load(batch).addCallbacks(self._loaded, self._not_loaded, (batch,), errbackArgs=(batch,))

    def _loaded(self, body: bytes | None, batch: Batch) -> None:
        self._loading = False
        if body is None:
            self._not_loaded("it is gone", batch)
        elif batch.body is None:
            batch.body = body
            self._in_memory += batch.size
            self.ready()

    def _not_loaded(self, error: object, batch: Batch) -> None:
        """What the disk does not give back is lost, and told as such."""
        self._loading = False
        self._complain("messages could not be read from the disk: {error}", error)
        if not batch.gone:
            self._drop(batch)
        self.ready()

    def _watch(self) -> None:
        """The master has half a second for each batch before what waits goes to the disk."""
        if self._spill is None:
            self._spill = self._clock.callLater(SPILL_S, self._away)

    def _away(self) -> None:
        """Each round gathers for longer, so that a long absence does not leave a great many small batches."""
        self._rounds += 1
        self._is_away = True
        self._to_disk()
        self._spill = self._clock.callLater(min(LONGEST_SPILL_S, SPILL_S * 2**self._rounds), self._away)

    def _to_disk(self) -> None:
        while self._queue:
            self._freeze()
        if self._may_write():
            for batch in self._batches:
                if not batch.stored and not batch.storing:
                    self._store(batch)
        self._bound()

    def _store(self, batch: Batch) -> None:
        batch.storing = True
        self._on_disk += batch.size
        self._spool.write(batch).addCallbacks(self._stored, self._not_stored, (batch,), errbackArgs=(batch,))

    def _stored(self, _: None, batch: Batch) -> None:
        batch.storing, batch.stored = False, True
        if batch.gone:  # acknowledged or dropped meanwhile
            self._spool.delete(batch).addErrback(lambda _: None)
        elif batch is not self._batches[0] and batch.body is not None:
            batch.body = None
            self._in_memory -= batch.size
            self._bound()

    def _not_stored(self, error: object, batch: Batch) -> None:
        batch.storing = False
        if not batch.gone:
            self._on_disk -= batch.size
        self._complain("messages could not be written to the disk: {error}", error)
        self._bound()

    def _bound(self) -> None:
        """Drop the oldest that are too many on the disk; in memory, hold what prints, or drop where the disk fails."""
        while self._is_too_much() and (oldest := self._droppable(stored=True)) is not None:
            self._drop(oldest)
        if self._is_away:
            while self.memory > self._bounds.memory and not self._is_storing():
                oldest = self._droppable(stored=False)
                if oldest is None:
                    break
                self._drop(oldest)
        self._hold()

    def _is_too_much(self) -> bool:
        return self._on_disk > self._bounds.disk or len(self._batches) > MAX_BATCHES

    def _is_storing(self) -> bool:
        return any(batch.storing for batch in self._batches)

    def _droppable(self, *, stored: bool) -> Batch | None:
        """The oldest, but for the one that is on its way."""
        rest = islice(self._batches, 1, None)
        return next((batch for batch in rest if (batch.stored or batch.storing) == stored), None)

    def _drop(self, batch: Batch) -> None:
        self._batches.remove(batch)
        for share in batch.shares:
            self.dropped += share.count
            loss = self._lost.setdefault(share.source, _Loss(0, share.first, share.last))
            loss.count += share.count
            loss.last = share.last
        self._forget(batch)

    def _forget(self, batch: Batch) -> None:
        batch.gone = True
        if batch.body is not None:
            self._in_memory -= batch.size
        if batch.stored or batch.storing:
            self._on_disk -= batch.size
        if batch.stored:
            self._spool.delete(batch).addErrback(lambda _: None)
        for share in batch.shares:
            self._release(share.source.task, share.pieces)

    def _count(self, shares: Sequence[Share]) -> None:
        for share in shares:
            task = share.source.task
            self._unacked[task] = self._unacked.get(task, 0) + share.pieces

    def _release(self, task: str, pieces: int) -> None:
        left = self._unacked[task] - pieces
        if left:
            self._unacked[task] = left
            return
        del self._unacked[task]
        self._report_lost(task)
        if task not in self._unacked and (then := self._waiting.pop(task, None)) is not None:
            then()

    def _report_lost(self, task: str) -> None:
        """Say in the task's own log what of it is missing."""
        for source in [source for source in self._lost if source.task == task]:
            loss = self._lost.pop(source)
            self._tell.report(
                source,
                f"{loss.count} messages dropped between {_iso(loss.first)} and {_iso(loss.last)}:"
                " the master was away for too long, or did not take them",
            )

    def _hold(self) -> None:
        if not self._held and self.memory > self._bounds.memory:
            self._held = True
            self._tell.hold(True)
        elif self._held and self.memory <= self._bounds.memory // 2:
            self._held = False
            self._tell.hold(False)

    def _schedule(self) -> None:
        if self._queued >= BATCH_BYTES:
            self.ready()
        elif self._queue and not self._due and self._flush is None:
            self._flush = self._clock.callLater(FLUSH_S, self._flush_now)

    def _flush_now(self) -> None:
        self._flush = None
        if self._queue:
            self.flush()

    def _complain(self, sentence: str, error: object) -> None:
        if self._clock.seconds() >= self._quiet_until:
            self._quiet_until = self._clock.seconds() + COMPLAIN_S
            self.log.error(sentence, error=str(error))


def _cut(message: Message) -> Sequence[Message]:
    """Pieces of which each one fits into a post whatever its characters are; they share the message's number."""
    text = message.data
    if len(text) <= PIECE_BYTES or len(_encode(text)) <= MAX_ENCODED:
        return (message,)
    pieces = [text[start : start + PIECE_BYTES] for start in range(0, len(text), PIECE_BYTES)]
    return [
        Message(message.level, message.seq, message.epoch, piece, message.flags | (CUT if more else 0))
        for piece, more in zip(pieces, [*[True] * (len(pieces) - 1), False], strict=True)
    ]


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _nobody() -> None:
    """Nobody posts yet."""
