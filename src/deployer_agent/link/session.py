"""The session: opened by a signed challenge, renewed before it ends, opened anew after 401 (wire.py 2)."""

import re
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.kit.clock import Clock
from deployer.kit.failpoints import reach
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import sign
from deployer.protocol.traits import NONE, Traits
from deployer.protocol.wire import ChallengeAnswer, Configuration, SessionAnswer, SessionRequest, encode, session_text
from deployer_agent.errors import ProblemError, RevokedError
from deployer_agent.link.http import Http

RENEW_AT: Final = 0.9  # of its time
UNAUTHORIZED: Final = 401
REVOKED: Final = "revoked"
REJOIN_S: Final = 60.0
Rejoin = Callable[[], Coroutine[Deferred[Any], Any, None]]
"""Joins again with the key that there is; LinkError when the master does not want that."""
STALE: Final = "stale_session"


class Proof(Struct, frozen=True):
    """Who opens the session, and with which key."""

    key: Ed25519PrivateKey
    agent: AgentId
    instance: str
    version: str
    extensions: Sequence[str] = ()
    traits: Traits = NONE
    company: Callable[[], str] = str
    """Whose agent it was when it joined last; empty when nobody asks."""


class Open(Struct, frozen=True):
    """A session that was opened."""

    token: str
    renew_at: float
    configuration: Configuration


class Session:
    """Gives the present token to all who ask, opening a session when there is none; one opening at a time."""

    log = Logger()

    def __init__(self, http: Http, proof: Proof, clock: Clock, rejoin: Rejoin | None = None) -> None:
        self._rejoin = rejoin
        self._rejoin_at = float("-inf")
        self._revoked: RevokedError | None = None
        self._http = http
        self._proof = proof
        self._clock = clock
        self._open: Open | None = None
        self._opening: list[Deferred[None]] | None = None

    async def current(self) -> Open:
        """Return the session; LinkError when none can be opened now."""
        while self._opening is not None:
            waiter: Deferred[None] = Deferred()
            self._opening.append(waiter)
            await waiter
        if self._open is None or self._clock.seconds() > self._open.renew_at:
            return await self._exclusively()
        return self._open

    def drop(self, token: str) -> None:
        """Forget a session that the master does not know any more, unless it was replaced meanwhile."""
        if self._open is not None and self._open.token == token:
            self._open = None

    async def _exclusively(self) -> Open:
        self._opening = []
        try:
            self._open = opened = await self._begin()
            return opened
        finally:
            waiting, self._opening = self._opening, None
            for waiter in waiting:
                if not waiter.called:  # who waited may have been cancelled
                    waiter.callback(None)

    async def _begin(self) -> Open:
        if self._revoked is not None:
            raise self._revoked
        try:
            return await self._ask()
        except ProblemError as error:
            if error.code == REVOKED:
                self._revoked = RevokedError(
                    f"the master takes agent {self._proof.agent} no more ({error}): "
                    "what runs goes on, nothing more is asked for or sent"
                )
                raise self._revoked from None
            if error.status != UNAUTHORIZED or self._rejoin is None or self._clock.seconds() < self._rejoin_at:
                raise
        self._rejoin_at = self._clock.seconds() + REJOIN_S
        await self._rejoin()
        return await self._ask()

    async def _ask(self) -> Open:
        challenge = (await self._http.get("/agent/v1/challenge", ChallengeAnswer)).challenge
        asked_at = self._clock.seconds()
        answer = await self._http.post("/agent/v1/session", encode(self._request(challenge)), SessionAnswer)
        if answer.company and self._rejoin is not None and answer.company != self._proof.company():
            await self._rejoin()
        self.log.info("session {epoch} of agent {agent} is open", epoch=answer.epoch, agent=str(self._proof.agent))
        reach("session_opened")
        return Open(answer.session, asked_at + RENEW_AT * answer.valid_s, answer.configuration)

    def _request(self, challenge: str) -> SessionRequest:
        proof = self._proof
        return SessionRequest(
            gid=proof.agent.gid,
            nid=proof.agent.nid,
            instance=proof.instance,
            challenge=challenge,
            signature=sign(proof.key, session_text(proof.agent, proof.instance, challenge)),
            version=proof.version,
            hostname=hostname(),
            extensions=list(proof.extensions),
            traits=proof.traits,
        )


def hostname() -> str:
    """The host's name in the letters that the wire takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:255] or "unknown"
