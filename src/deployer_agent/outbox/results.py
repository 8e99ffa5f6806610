"""Results on their way: from the journal, many in one post, each acknowledged by itself, never dropped."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct
from twisted.logger import Logger

from deployer.protocol.wire import MAX_RESULTS, Receipt

BATCH_BYTES: Final = 2 * 1024 * 1024

Key = tuple[str, int]
_encode = msgspec.json.Encoder().encode


class ResultPost(Struct, frozen=True, eq=False):
    """Results that go out together; `items` are their keys and encoded forms."""

    items: Sequence[tuple[Key, bytes]]

    @property
    def body(self) -> bytes:
        """The post."""
        return b'{"results":' + _encode([Raw(encoded) for _, encoded in self.items]) + b"}"


class ResultOutbox:
    """Holds results until the master has said what became of each. `ready` is called when there is one to post."""

    log = Logger()

    def __init__(self, forget: Callable[[Sequence[Key]], object]) -> None:
        self._forget = forget
        self._queue: deque[tuple[Key, bytes]] = deque()
        self._known: set[Key] = set()
        self.ready: Callable[[], None] = _nobody

    def __len__(self) -> int:
        return len(self._known)

    def add(self, key: Key, encoded: bytes) -> None:
        """Take a result that is in the journal."""
        if key in self._known:
            return
        self._known.add(key)
        self._queue.append((key, encoded))
        self.ready()

    def take(self) -> ResultPost | None:
        """Return what is to be posted next; it is gone from here until `give_back` or `acknowledge`."""
        items: list[tuple[Key, bytes]] = []
        size = 0
        while self._queue and len(items) < MAX_RESULTS and size < BATCH_BYTES:
            items.append(self._queue.popleft())
            size += len(items[-1][1])
        return ResultPost(items) if items else None

    def give_back(self, post: ResultPost) -> None:
        """Post these again: the answer was lost."""
        self._queue.extendleft(reversed(post.items))

    def acknowledge(self, post: ResultPost, receipts: Sequence[Receipt]) -> None:
        """Forget what the master has answered for."""
        keys = [key for key, _ in post.items]
        for key, receipt in zip(keys, receipts, strict=True):
            if receipt not in {"OK", "DUP"}:
                self.log.warn(
                    "the master does not take the result of {task}: {receipt}", task=key[0], run=key[1], receipt=receipt
                )
        self._known.difference_update(keys)
        self._forget(keys)


def _nobody() -> None:
    """Nobody posts yet."""
