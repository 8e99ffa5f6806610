"""What the journal holds of a task, and what it answers."""

import hashlib
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from deployer.protocol.commands import SignedCommand

Stage = Literal["ACCEPTED", "STARTED", "FINISHED", "ENDED"]
"""ENDED: it never ran here, as the master said that it shall not."""

Key = tuple[str, int]
"""Task id and run."""

KEEP_MS: Final = 7 * 86_400_000

RUNS_KEPT: Final = 100
"""How many records of finished runs of one task wait for the master; it keeps no more of them either."""


class Entry(Struct, frozen=True):
    """A verified command as it is written down before it is accepted. `payload` is the exact text that was signed.

    `refusal` is the encoded result of one that is not going to run.
    """

    command: SignedCommand
    payload: str
    data: str
    refusal: bytes | None = None

    @property
    def key(self) -> Key:
        """Task id and run."""
        return self.command.id, self.command.run

    @property
    def digest(self) -> str:
        """The SHA-256 of the payload: a replay with another payload is told by it."""
        return hashlib.sha256(self.payload.encode("utf-8", "surrogatepass")).hexdigest()


class Known(Struct, frozen=True):
    """What the journal has of an entry that was offered: `new` (written now), `same` as before, `other` (a replay)."""

    kind: Literal["new", "same", "other"]
    stage: Stage = "ACCEPTED"
    result: bytes | None = None


class History(Struct, frozen=True):
    """How many runs of a task have `begun` and `ended`, and how many of the last ended `early`.

    `due`: when the last one was to begin (epoch ms).
    """

    begun: int = 0
    ended: int = 0
    early: int = 0
    due: int = 0


class Open(Struct, frozen=True):
    """A task found at the start that the master has no result of yet."""

    key: Key
    stage: Stage
    payload: str
    data: str
    result: bytes | None
    started: int
    history: History = History()
    killed: bool = False


class RunRecord(Struct, frozen=True):
    """A finished run of a task that goes on, as it is kept until the master has it."""

    task: str
    number: int
    record: bytes


TooOld = Callable[[Entry], bytes]
"""Makes the encoded result for a command that is older than what the journal remembers."""
