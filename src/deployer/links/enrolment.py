"""How an agent becomes one of ours: join, challenge, session (protocol/wire.py 1 and 2)."""

from collections.abc import Sequence

from msgspec import Struct
from twisted.logger import Logger
from twisted.web.http import Request

from deployer.errors import InvalidError, UnauthorizedError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.failpoints import reach
from deployer.links.resource import AgentResource, Refuse, Require, encode, read
from deployer.links.sessions import Sessions
from deployer.model import limits
from deployer.protocol.signing import read_public
from deployer.protocol.wire import ChallengeAnswer, JoinAnswer, JoinRequest, SessionRequest
from deployer.stores.agents import Agents
from deployer.stores.tokens import Token, Tokens


class Introduction(Struct, frozen=True):
    """By what agents know us: the keys that sign commands, and the CA of our certificate (PEM) if it is our own."""

    master_keys: Sequence[str]
    ca: str | None = None


class Enrolment:
    """Serves `/agent/v1/join`, `/agent/v1/challenge`, `/agent/v1/session`."""

    log = Logger()

    def __init__(
        self, tokens: Tokens, agents: Agents, sessions: Sessions, wall: WallClock, introduction: Introduction
    ) -> None:
        self._tokens = tokens
        self._agents = agents
        self._sessions = sessions
        self._wall = wall
        self._introduction = introduction

    def routes(self, refuse: Refuse, require: Require = lambda _: None) -> dict[bytes, AgentResource]:
        """The resources by their paths."""
        return {
            b"/agent/v1/join": AgentResource(b"POST", self._join, refuse, require=require),
            b"/agent/v1/challenge": AgentResource(b"GET", self._challenge, refuse, require=require),
            b"/agent/v1/session": AgentResource(b"POST", self._session, refuse, require=require),
        }

    async def _join(self, request: Request) -> bytes:
        wanted = read(JoinRequest, request, strict=True)
        token = Token.parse(wanted.token)
        try:
            read_public(wanted.public_key)
        except ValueError as error:
            raise InvalidError("/public_key", str(error)) from None
        if token is None or not await self._tokens.may_join(token):
            self.log.warn("audit: {hostname} tried to join with a token that is not ours", hostname=wanted.hostname)
            raise UnauthorizedError("this join token is unknown or has expired: make another")
        agent, company = await self._agents.join(token.kid, wanted, epoch_ms(self._wall))
        reach("join_done")
        self.log.warn("audit: agent {agent} joined from {hostname}", agent=str(agent), hostname=wanted.hostname)
        known = self._introduction
        return encode(
            JoinAnswer(gid=agent.gid, nid=agent.nid, company=company, ca=known.ca, master_keys=list(known.master_keys))
        )

    async def _challenge(self, request: Request) -> bytes:  # noqa: ARG002 (a route's form)
        return encode(ChallengeAnswer(self._sessions.challenges.make(), limits.CHALLENGE_S))

    async def _session(self, request: Request) -> bytes:
        wanted = read(SessionRequest, request, strict=True)
        answer = await self._sessions.open(wanted)
        self.log.info("agent {gid}:{nid} has session {epoch}", gid=wanted.gid, nid=wanted.nid, epoch=answer.epoch)
        return encode(answer)
