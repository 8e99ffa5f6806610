"""The agent's session: opened by its key, renewed before it ends, replaced when the master has forgotten it."""

from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from twisted.internet.defer import Deferred

from deployer.kit.clock import Clock
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import sign
from deployer.protocol.wire import ChallengeAnswer, SessionAnswer, SessionRequest, session_text
from deployer_agent.link.http import MasterHttp

RENEW_AT: Final = 0.8
"""The share of its validity after which a session is renewed."""


class Self(Struct, frozen=True):
    """What the agent proves."""

    agent: AgentId
    key: Ed25519PrivateKey
    instance: str
    version: str
    hostname: str


class Sessions:
    """Gives the token for each request."""

    def __init__(self, http: MasterHttp, who: Self, clock: Clock) -> None:
        self._http = http
        self._who = who
        self._clock = clock
        self._token: str | None = None
        self._renew = 0.0
        self._opening: list[Deferred[str]] | None = None
        self.opened = 0

    async def token(self) -> str:
        """The session's token; opens a session when there is none or it is about to end."""
        if self._token is not None and self._clock.seconds() < self._renew:
            return self._token
        if self._opening is not None:  # many ask at once, one opens
            waiting: Deferred[str] = Deferred()
            self._opening.append(waiting)
            return await waiting
        return await self._open_for_all()

    def refused(self, token: str) -> None:
        """The master does not take this token."""
        if token == self._token:
            self._token = None

    async def _open_for_all(self) -> str:
        self._opening = []
        try:
            token = await self._open()
        except BaseException as error:
            waiting, self._opening = self._opening, None
            for one in waiting:
                one.errback(error if isinstance(error, Exception) else ConnectionAbortedError("the agent stops"))
            raise
        waiting, self._opening = self._opening, None
        for one in waiting:
            one.callback(token)
        return token

    async def _open(self) -> str:
        who = self._who
        challenge = (await self._http.ask("GET", "/agent/v1/challenge", _challenge)).challenge
        request = SessionRequest(
            gid=who.agent.gid,
            nid=who.agent.nid,
            instance=who.instance,
            challenge=challenge,
            signature=sign(who.key, session_text(who.agent, who.instance, challenge)),
            version=who.version,
            hostname=who.hostname,
        )
        answer = await self._http.ask("POST", "/agent/v1/session", _session, body=request)
        self._token = answer.session
        self._renew = self._clock.seconds() + answer.valid_s * RENEW_AT
        self.opened += 1
        return answer.session


_challenge = msgspec.json.Decoder(ChallengeAnswer).decode
_session = msgspec.json.Decoder(SessionAnswer).decode
