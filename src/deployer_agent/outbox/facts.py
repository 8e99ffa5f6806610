"""What the host is, on its way to the master: the newest alone, and only when the master does not have it yet."""

import hashlib
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from twisted.logger import Logger

from deployer.kit.clock import Clock
from deployer.protocol.facts import HostFacts, encode

REPEAT_S: Final = 86400.0
"""After so long the same is told again: a master may have lost it."""


class FactsPost(Struct, frozen=True):
    """One post."""

    body: bytes
    digest: bytes


class FactsOutbox:
    """Room for one; of what is acknowledged only the hash stays. `ready` is called when there is something to post."""

    log = Logger()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: FactsPost | None = None
        self._posting: FactsPost | None = None
        self._known = b""
        self._known_until = 0.0
        self.ready: Callable[[], None] = _nobody

    def offer(self, facts: HostFacts) -> None:
        """Take the facts of now in place of those that wait."""
        body = encode(facts)
        post = FactsPost(body, hashlib.sha256(body).digest())
        self._waiting = None if self._is_known(post) else post
        self.ready()

    def take(self) -> FactsPost | None:
        """Return what is to be posted; None: nothing."""
        self._posting, self._waiting = self._waiting, None
        return self._posting

    def give_back(self, post: FactsPost) -> None:
        """Keep what did not arrive, unless there is something newer."""
        self._posting = None
        self._waiting = self._waiting or post

    def acknowledge(self, post: FactsPost) -> None:
        """Note what the master has."""
        self._posting = None
        self._known, self._known_until = post.digest, self._clock.seconds() + REPEAT_S

    def refuse(self, post: FactsPost, why: str) -> None:
        """Do not offer again for a day what the master does not take."""
        self.log.error("the master does not take the facts of this host: {error}", error=why)
        self.acknowledge(post)

    def _is_known(self, post: FactsPost) -> bool:
        """Whether the master has it, or will when what is on its way has arrived."""
        if self._posting is not None:
            return post.digest == self._posting.digest
        return post.digest == self._known and self._clock.seconds() < self._known_until


def _nobody() -> None:
    """Nobody posts yet."""
