"""What replaces itself on its way to the master: the newest alone, and only when the master does not have it yet."""

import hashlib
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.clock import Clock

REPEAT_S: Final = 86400.0
"""After so long the same is told again: a master may have lost it."""


class NewestPost(Struct, frozen=True):
    """One post."""

    body: bytes
    digest: bytes


class NewestOutbox:
    """Room for one; of what is acknowledged only the hash stays. `ready` is called when there is something to post.

    `what`: for the log.
    """

    log = Logger()

    def __init__(self, what: str, clock: Clock) -> None:
        self._what = what
        self._clock = clock
        self._waiting: NewestPost | None = None
        self._posting: NewestPost | None = None
        self._known = b""
        self._known_until = 0.0
        self.ready: Callable[[], None] = _nobody

    def offer(self, body: bytes) -> None:
        """Take what is so now in place of what waits."""
        post = NewestPost(body, hashlib.sha256(body).digest())
        self._waiting = None if self._is_known(post) else post
        self.ready()

    def take(self) -> NewestPost | None:
        """Return what is to be posted; None: nothing."""
        self._posting, self._waiting = self._waiting, None
        return self._posting

    def give_back(self, post: NewestPost) -> None:
        """Keep what did not arrive, unless there is something newer."""
        self._posting = None
        self._waiting = self._waiting or post

    def acknowledge(self, post: NewestPost) -> None:
        """Note what the master has."""
        self._posting = None
        self._known, self._known_until = post.digest, self._clock.seconds() + REPEAT_S

    def refuse(self, post: NewestPost, why: str) -> None:
        """Do not offer again for a day what the master does not take."""
        self.log.error("the master does not take {what}: {error}", what=self._what, error=why)
        self.acknowledge(post)

    def _is_known(self, post: NewestPost) -> bool:
        """Whether the master has it, or will when what is on its way has arrived."""
        if self._posting is not None:
            return post.digest == self._posting.digest
        return post.digest == self._known and self._clock.seconds() < self._known_until


def _nobody() -> None:
    """Nobody posts yet."""
