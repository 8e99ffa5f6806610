"""How an agent becomes one of ours: join, challenge, session (protocol/wire.py 1 and 2)."""

from collections.abc import Sequence

from msgspec import Struct
from twisted.logger import Logger
from twisted.web.http import Request

from deployer.dispatch.audit import AuditTrail
from deployer.errors import InvalidError, TooManyError, UnauthorizedError
from deployer.kit.allowance import Allowance
from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.failpoints import reach
from deployer.kit.http.peer import Peers
from deployer.links.resource import AgentResource, Refuse, Require, encode, read
from deployer.links.sessions import Sessions
from deployer.model import limits
from deployer.model.audit import Deed
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import read_public
from deployer.protocol.wire import ChallengeAnswer, JoinAnswer, JoinRequest, SessionRequest
from deployer.stores.agents import Agents
from deployer.stores.tokens import Token, Tokens
from deployer.stores.waitingroom import WaitingRoom


class Introduction(Struct, frozen=True):
    """By what agents know us: the keys that sign commands, and the CA of our certificate (PEM) if it is our own."""

    master_keys: Sequence[str]
    ca: str | None = None


class Ways(Struct, frozen=True):
    """How a key becomes an agent: by a token, or by waiting for somebody; `tries` of an address to wait."""

    tokens: Tokens
    room: WaitingRoom
    peers: Peers
    tries: Allowance
    trail: AuditTrail


class Enrolment:
    """Serves `/agent/v1/join`, `/agent/v1/challenge`, `/agent/v1/session`."""

    log = Logger()

    def __init__(
        self, agents: Agents, sessions: Sessions, ways: Ways, wall: WallClock, introduction: Introduction
    ) -> None:
        self._room = ways.room
        self._peers = ways.peers
        self._tries = ways.tries
        self._trail = ways.trail
        self._tokens = ways.tokens
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
        try:
            read_public(wanted.public_key)
        except ValueError as error:
            raise InvalidError("/public_key", str(error)) from None
        if not wanted.token:
            return await self._joined(request, wanted, *await self._wait(request, wanted))
        token = Token.parse(wanted.token)
        if token is None or not await self._tokens.may_join(token):
            self.log.warn("audit: {hostname} tried to join with a token that is not ours", hostname=wanted.hostname)
            self._trail.refused(self._peers.of(request).source, UnauthorizedError.code)
            raise UnauthorizedError("this join token is unknown or has expired: make another")
        agent, company = await self._agents.join(token.kid, wanted, epoch_ms(self._wall))
        return await self._joined(request, wanted, agent, company, token.kid)

    async def _joined(
        self, request: Request, wanted: JoinRequest, agent: AgentId, company: str, kid: str = ""
    ) -> bytes:
        reach("join_done")
        who, address = f"agent {agent}", self._peers.of(request).address
        about = f"{agent}/{wanted.hostname}"
        deed = Deed(
            user=who, token=kid, address=address, action="POST /agent/v1/join", object=about, decision="allowed"
        )
        await self._trail.note(company, deed)
        self.log.warn("audit: agent {agent} joined from {hostname}", agent=str(agent), hostname=wanted.hostname)
        known = self._introduction
        return encode(
            JoinAnswer(gid=agent.gid, nid=agent.nid, company=company, ca=known.ca, master_keys=list(known.master_keys))
        )

    async def _wait(self, request: Request, wanted: JoinRequest) -> tuple[AgentId, str]:
        peer = self._peers.of(request)
        if not self._tries.spend(peer.source):
            raise TooManyError("too many requests to join come from this address", self._tries.wait_s(peer.source))
        return await self._room.ask(wanted, peer.address, epoch_ms(self._wall))

    async def _challenge(self, request: Request) -> bytes:  # noqa: ARG002 (a route's form)
        return encode(ChallengeAnswer(self._sessions.challenges.make(), limits.CHALLENGE_S))

    async def _session(self, request: Request) -> bytes:
        wanted = read(SessionRequest, request, strict=True)
        answer = await self._sessions.open(wanted)
        self.log.info("agent {gid}:{nid} has session {epoch}", gid=wanted.gid, nid=wanted.nid, epoch=answer.epoch)
        return encode(answer)
