"""Messages on their way to the master: bounded, in order, one batch in flight, sent again unchanged until acknowledged.

In memory: `hold_bytes` of them, then `crowded(True)` is called and the processes' pipes are read no further, so that
nothing is lost; `crowded(False)` is called below half of that.
"""

import secrets
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from deployer.protocol.messages import Group, Message
from deployer.protocol.wire import LogBatch

BATCH_BYTES: Final = 512 * 1024
EACH_BYTES: Final = 64
"""What a message costs beside its text."""


class _Task:
    """What one task has waiting."""

    def __init__(self, domain: str, name: str) -> None:
        self.domain = domain
        self.name = name
        self.messages: list[Message] = []
        self.unacknowledged = 0
        self.drained: list[Deferred[None]] = []


class MessageOutbox:
    """Takes messages, gives batches."""

    def __init__(self, hold_bytes: int, next_id: Callable[[], int], crowded: Callable[[bool], None]) -> None:
        self._hold_bytes = hold_bytes
        self._next_id = next_id
        self._crowded = crowded
        self._tasks: dict[str, _Task] = {}
        self._bytes = 0
        self._is_full = False
        self._seq = 0
        self._flying: LogBatch | None = None
        self._flying_bytes = 0
        self._wanted: Deferred[None] | None = None
        self.boot = secrets.token_hex(16)

    @property
    def held_bytes(self) -> int:
        """What waits, the batch in flight included."""
        return self._bytes

    @property
    def ready_bytes(self) -> int:
        """What could go into the next batch."""
        return self._bytes - self._flying_bytes

    def add(self, task: str, domain: str, name: str, epoch: int, output: list[tuple[int, str]]) -> None:
        """Take messages of a task."""
        waiting = self._tasks.get(task)
        if waiting is None:
            waiting = self._tasks[task] = _Task(domain, name)
        next_id = self._next_id
        waiting.messages += [Message(level, next_id(), epoch, text) for level, text in output]
        waiting.unacknowledged += len(output)
        self._bytes += sum(len(text) for _, text in output) + EACH_BYTES * len(output)
        if self._bytes > self._hold_bytes and not self._is_full:
            self._is_full = True
            self._crowded(True)
        self._tell()

    async def wanted(self) -> None:
        """Wait until there is something to send."""
        if self._flying is None and not self.ready_bytes:
            self._wanted = Deferred()
            await self._wanted

    def batch(self) -> LogBatch:
        """The batch to send: the same until it is acknowledged."""
        if self._flying is None:
            self._seq += 1
            groups = self._groups()
            self._flying = LogBatch(boot=self.boot, seq=self._seq, groups=groups)
        return self._flying

    def acknowledged(self) -> None:
        """The master has stored the batch in flight."""
        batch, self._flying = self._flying, None
        self._bytes -= self._flying_bytes
        self._flying_bytes = 0
        for group in batch.groups if batch is not None else ():
            self._settle(group.task, len(group.messages))
        if self._is_full and self._bytes < self._hold_bytes // 2:
            self._is_full = False
            self._crowded(False)

    async def drained(self, task: str) -> None:
        """Wait until the master has all of a task's messages."""
        waiting = self._tasks.get(task)
        if waiting is not None and waiting.unacknowledged:
            done: Deferred[None] = Deferred()
            waiting.drained.append(done)
            await done
        else:
            self._tasks.pop(task, None)

    def _groups(self) -> list[Group]:
        """Up to BATCH_BYTES, every task in turn, each in its order."""
        groups: list[Group] = []
        for task, waiting in self._tasks.items():
            taken = _fitting(waiting.messages, BATCH_BYTES - self._flying_bytes)
            if taken:
                messages, waiting.messages = waiting.messages[:taken], waiting.messages[taken:]
                groups.append(Group(task=task, domain=waiting.domain, name=waiting.name, messages=messages))
                self._flying_bytes += sum(len(m.data) for m in messages) + EACH_BYTES * len(messages)
            if self._flying_bytes >= BATCH_BYTES:
                break
        return groups

    def _settle(self, task: str, count: int) -> None:
        waiting = self._tasks[task]
        waiting.unacknowledged -= count
        if not waiting.unacknowledged and waiting.drained:
            del self._tasks[task]
            for done in waiting.drained:
                done.callback(None)
        else:  # to the end of the line: a noisy task does not hold up a quiet one
            self._tasks[task] = self._tasks.pop(task)

    def _tell(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.callback(None)


def _fitting(messages: list[Message], room: int) -> int:
    """How many of the first messages fit; at least one when there is any room."""
    count = 0
    for message in messages:
        if room <= 0:
            break
        room -= len(message.data) + EACH_BYTES
        count += 1
    return count


def display_ids(start: int, reserve: Callable[[int], Any], block: int = 10_000) -> Callable[[], int]:
    """Numbers for messages, 32 bits, going on over restarts: `reserve(end)` notes the end of each block in use."""
    state = {"next": start, "end": start}

    def take() -> int:
        if state["next"] >= state["end"]:
            state["end"] = state["next"] + block
            reserve(state["end"])
        number = state["next"]
        state["next"] = number + 1
        return number & 0xFFFFFFFF

    return take
