"""Messages on their way to the master: in order, one frozen batch at a time, acknowledged before they are forgotten.

They are held as encoded JSON, so that what is counted is what is held. Over `hold_bytes` the agent stops reading its
processes' pipes until half of it is gone: nothing is lost. Kept in memory until the outbox on disk comes.
"""

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from deployer.kit.clock import Call, Clock, WallClock, epoch_ms
from deployer.protocol.ids import Name
from deployer.protocol.messages import Message, Owner
from deployer_agent.outbox.numbers import Numbers

BATCH_BYTES: Final = 512 * 1024
MAX_GROUPS: Final = 1000
FLUSH_S: Final = 0.03
PIECE_BYTES: Final = 256 * 1024
MAX_ENCODED: Final = 6 * PIECE_BYTES  # what a piece may become: `\u0001` for each control character

_encode = msgspec.json.Encoder().encode


class Source(Struct, frozen=True):
    """Whose messages these are; an empty `task`: the agent's own."""

    task: Owner
    domain: Name
    name: Name


class Batch(Struct, frozen=True, eq=False):
    """What is posted: it stays as it is until it is acknowledged."""

    seq: int
    body: bytes
    size: int
    counts: dict[str, int]


class _Group(Struct, frozen=True):
    task: str
    domain: str
    name: str
    messages: Raw


class _LogBatch(Struct, frozen=True):
    """A `LogBatch` whose messages are encoded already."""

    boot: str
    seq: int
    groups: list[_Group]


class MessageOutbox:
    """Takes what processes print, gives out batches. `ready` is called when there is something to post."""

    def __init__(
        self, clock: Clock, wall: WallClock, numbers: Numbers, hold_bytes: int, on_hold: Callable[[bool], None]
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._numbers = numbers
        self._hold_bytes = hold_bytes
        self._on_hold = on_hold
        self._boot = secrets.token_hex(16)
        self._seq = 0
        self._queue: deque[tuple[Source, bytes]] = deque()
        self._queued = 0
        self._frozen: Batch | None = None
        self._unacked: dict[str, int] = {}
        self._waiting: dict[str, Callable[[], None]] = {}
        self._flush: Call | None = None
        self._due = False
        self._held = False
        self.ready: Callable[[], None] = _nobody

    @property
    def size(self) -> int:
        """Bytes that are not acknowledged yet."""
        return self._queued + (0 if self._frozen is None else self._frozen.size)

    def add(self, source: Source, output: Sequence[tuple[int, str]]) -> None:
        """Take the messages of one task, in order."""
        part: list[Message] = []
        size, now = 0, epoch_ms(self._wall)
        for level, text in output:
            for piece in _cut(text):
                part.append(Message(level, self._numbers.next(), now, piece))
                size += len(piece)
                if size > PIECE_BYTES:
                    self._append(source, part)
                    part, size = [], 0
        if part:
            self._append(source, part)
        self._hold()
        self._schedule()

    def settle(self, task: str, then: Callable[[], None]) -> None:
        """Call when all messages of a task are acknowledged; they are sent without further delay."""
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
        """Return what is to be posted next; the same until it is acknowledged."""
        if self._frozen is None and self._queue and (self._due or self._queued >= BATCH_BYTES):
            self._frozen = self._freeze()
        return self._frozen

    def acknowledge(self, acked: int) -> None:
        """Forget what the master has stored."""
        batch = self._frozen
        if batch is None or acked < batch.seq:
            return
        self._frozen = None
        for task, count in batch.counts.items():
            self._release(task, count)
        self._hold()

    def _append(self, source: Source, part: list[Message]) -> None:
        encoded = _encode(part)[1:-1]
        self._queue.append((source, encoded))
        self._queued += len(encoded)
        self._unacked[source.task] = self._unacked.get(source.task, 0) + 1

    def _freeze(self) -> Batch:
        self._seq += 1
        groups: dict[Source, list[bytes]] = {}
        counts: dict[str, int] = {}
        size = 0
        while self._queue and size < BATCH_BYTES and len(groups) < MAX_GROUPS:
            source, encoded = self._queue.popleft()
            groups.setdefault(source, []).append(encoded)
            counts[source.task] = counts.get(source.task, 0) + 1
            size += len(encoded)
        self._queued -= size
        self._due = bool(self._queue) and self._due
        body = _encode(_LogBatch(self._boot, self._seq, [_group(source, parts) for source, parts in groups.items()]))
        return Batch(self._seq, body, size, counts)

    def _release(self, task: str, count: int) -> None:
        left = self._unacked[task] - count
        if left:
            self._unacked[task] = left
            return
        del self._unacked[task]
        then = self._waiting.pop(task, None)
        if then is not None:
            then()

    def _hold(self) -> None:
        if not self._held and self.size > self._hold_bytes:
            self._held = True
            self._on_hold(True)
        elif self._held and self.size <= self._hold_bytes // 2:
            self._held = False
            self._on_hold(False)

    def _schedule(self) -> None:
        if self._queued >= BATCH_BYTES:
            self.ready()
        elif self._queue and not self._due and self._flush is None:
            self._flush = self._clock.callLater(FLUSH_S, self._flush_now)

    def _flush_now(self) -> None:
        self._flush = None
        if self._queue:
            self.flush()


def _group(source: Source, parts: list[bytes]) -> _Group:
    return _Group(source.task, source.domain, source.name, Raw(b"[" + b",".join(parts) + b"]"))


def _cut(text: str) -> Sequence[str]:
    """Pieces of which each one fits into a post whatever its characters are."""
    if len(text) <= PIECE_BYTES or len(_encode(text)) <= MAX_ENCODED:
        return (text,)
    return [text[start : start + PIECE_BYTES] for start in range(0, len(text), PIECE_BYTES)]


def _nobody() -> None:
    """Nobody posts yet."""
