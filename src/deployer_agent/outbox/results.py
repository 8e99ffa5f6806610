"""Results on their way: from the journal, many in one post, each acknowledged by itself, never dropped.

Records of finished runs go the same way; of those only the last hundred of a task are kept, as the journal does.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct
from twisted.logger import Logger

from deployer.protocol import codes
from deployer.protocol.results import MAX_REASON, Result
from deployer.protocol.wire import MAX_RESULTS, Receipt, ResultAnswer

BATCH_BYTES: Final = 2 * 1024 * 1024
RUNS_KEPT: Final = 100

Key = tuple[str, int]
"""A task and its run: for a result the run of the command, for a record the number of the run."""

Item = tuple[Key, bytes]
_encode = msgspec.json.Encoder().encode


class ResultPost(Struct, frozen=True, eq=False):
    """Results and records that go out together, with their keys, in their encoded forms."""

    results: Sequence[Item]
    runs: Sequence[Item]

    @property
    def body(self) -> bytes:
        """The post."""
        return b'{"results":' + _list(self.results) + (b',"runs":' + _list(self.runs) if self.runs else b"") + b"}"


class ResultOutbox:
    """Holds results until the master has said what became of each. `ready` is called when there is one to post."""

    log = Logger()

    def __init__(
        self, forget: Callable[[Sequence[Key]], object], forget_runs: Callable[[Sequence[Key]], object]
    ) -> None:
        self._forget = forget
        self._forget_runs = forget_runs
        self._queue: deque[Item] = deque()
        self._known: set[Key] = set()
        self._runs: dict[Key, bytes] = {}
        self._posting = 0
        self._together = 2 * MAX_RESULTS
        self._refused: set[Key] = set()
        self.aside = 0
        self.ready: Callable[[], None] = _nobody

    def __len__(self) -> int:
        return len(self._known) + len(self._runs) + self._posting

    def add(self, key: Key, encoded: bytes) -> None:
        """Take a result that is in the journal."""
        if key in self._known:
            return
        self._known.add(key)
        self._queue.append((key, encoded))
        self.ready()

    def add_run(self, key: Key, encoded: bytes) -> None:
        """Take the record of a finished run that is in the journal."""
        self._runs.pop((key[0], key[1] - RUNS_KEPT), None)
        self._runs[key] = encoded
        self.ready()

    def take(self) -> ResultPost | None:
        """Return what is to be posted next; it is gone from here until `give_back` or `acknowledge`."""
        results: list[Item] = []
        runs: list[Item] = []
        size = 0
        while self._queue and len(results) < min(MAX_RESULTS, self._together) and size < BATCH_BYTES:
            results.append(self._queue.popleft())
            size += len(results[-1][1])
        room = min(MAX_RESULTS, self._together - len(results))
        while self._runs and len(runs) < room and size < BATCH_BYTES:
            key = next(iter(self._runs))
            runs.append((key, self._runs.pop(key)))
            size += len(runs[-1][1])
        self._posting += len(runs)
        return ResultPost(results, runs) if results or runs else None

    def give_back(self, post: ResultPost) -> None:
        """Post these again: the answer was lost."""
        self._queue.extendleft(reversed(post.results))
        self._posting -= len(post.runs)
        self._runs = {**dict(post.runs), **self._runs}

    def refuse(self, post: ResultPost, why: str) -> None:
        """Find out, by ever smaller posts, which one the master does not take, so that it holds up no other.

        A record is forgotten. In place of a result goes one that says so, and what is refused even then stays in the
        journal until the next start of the agent.
        """
        several = len(post.results) + len(post.runs)
        if several > 1:
            self._together = several // 2
            self.give_back(post)
            return
        key = (*post.results, *post.runs)[0][0]
        self.log.error("the master does not take the result of {task}: {error}", task=key[0], run=key[1], error=why)
        if post.runs:
            self._posting -= 1
            self._forget_runs([key])
        elif key in self._refused:
            self.aside += 1
        else:
            self._refused.add(key)
            self._queue.append((key, _encode(_refused(key, why))))

    def acknowledge(self, post: ResultPost, answer: ResultAnswer) -> None:
        """Forget what the master has answered for."""
        keys = [key for key, _ in post.results]
        runs = [key for key, _ in post.runs]
        self._together = min(2 * MAX_RESULTS, self._together * 2)
        self._complain(keys, answer.receipts)
        self._complain(runs, answer.run_receipts)
        self._known.difference_update(keys)
        self._refused.difference_update(keys)
        self._posting -= len(runs)
        if keys:
            self._forget(keys)
        if runs:
            self._forget_runs(runs)

    def _complain(self, keys: Sequence[Key], receipts: Sequence[Receipt]) -> None:
        for key, receipt in zip(keys, receipts, strict=True):
            if receipt not in {"OK", "DUP"}:
                self.log.warn(
                    "the master does not take the result of {task}: {receipt}", task=key[0], run=key[1], receipt=receipt
                )


def _list(items: Sequence[Item]) -> bytes:
    return _encode([Raw(encoded) for _, encoded in items])


def _refused(key: Key, why: str) -> Result:
    reason = f"the master did not take the agent's result, which the agent's log names: {why}"[:MAX_REASON]
    return Result(id=key[0], run=key[1], state="ERROR", code=codes.RESULT_REFUSED, reason=reason, outcome="unknown")


def _nobody() -> None:
    """Nobody posts yet."""
