"""Who is on the other end of a link: challenges, sessions, and the token that each poll and post carries."""

import base64
import hashlib
import hmac
import secrets
import struct
from typing import Final

from msgspec import Struct
from twisted.logger import Logger

from deployer.errors import OtherInstanceError, QuarantinedError, UnauthorizedError
from deployer.kit.clock import Clock, WallClock, sleep
from deployer.kit.failpoints import reach
from deployer.model import limits
from deployer.protocol.ids import AgentId
from deployer.protocol.signing import read_public, verifies
from deployer.protocol.wire import SessionAnswer, SessionRequest, session_text
from deployer.stores import keys
from deployer.stores.agents import Agents, Asked, Opened, Session
from deployer.stores.redis import Redis

CACHE_S: Final = 1.0
CACHE_SIZE: Final = 20_000
PROOF_LOOK_S: Final = 0.25
_SKEW_S: Final = 5


class Challenges:
    """Something to sign, good for 60 s and once.

    Made without memory (time, random bits and our MAC), so that nobody can fill Redis by asking; only a challenge that
    came back with a good signature is noted as used.
    """

    def __init__(self, secret: bytes, wall: WallClock) -> None:
        self._secret = secret
        self._wall = wall

    def make(self) -> str:
        """A fresh challenge."""
        head = struct.pack(">Q", int(self._wall())) + secrets.token_bytes(16)
        return base64.urlsafe_b64encode(head + self._mac(head)).decode()

    def check(self, challenge: str) -> None:
        """UnauthorizedError when it is not ours or too old."""
        try:
            raw = base64.urlsafe_b64decode(challenge.encode("ascii"))
        except ValueError:
            raw = b""
        head, mac = raw[:24], raw[24:]
        if len(head) != 24 or not hmac.compare_digest(mac, self._mac(head)):  # noqa: PLR2004 (8 of time, 16 random)
            raise UnauthorizedError("this challenge was not made here")
        age = self._wall() - struct.unpack(">Q", head[:8])[0]
        if not -_SKEW_S <= age <= limits.CHALLENGE_S:
            raise UnauthorizedError("this challenge has expired: ask for another")

    def _mac(self, head: bytes) -> bytes:
        return hmac.digest(self._secret, b"deployer challenge v1\n" + head, "sha256")


class _Cached(Struct, frozen=True):
    session: Session
    until: float


class Sessions:
    """Opens sessions and tells whose token this is."""

    log = Logger()

    def __init__(self, redis: Redis, agents: Agents, challenges: Challenges, clock: Clock) -> None:
        self._redis = redis
        self._agents = agents
        self.challenges = challenges
        self._clock = clock
        self._cache: dict[str, _Cached] = {}

    async def open(self, request: SessionRequest) -> SessionAnswer:
        """Check the proof and make this the agent's only session."""
        agent = AgentId(request.gid, request.nid)
        self.challenges.check(request.challenge)
        await self._check_signature(agent, request)
        used = keys.used_challenge(request.challenge)
        if not await self._redis.call("SET", used, "1", "NX", "EX", limits.CHALLENGE_S + 2 * _SKEW_S):
            raise UnauthorizedError("this challenge was used already: ask for another")
        secret = f"dps_{secrets.token_hex(32)}"
        reach("session_begun")
        epoch = await self._enter(
            Opened(
                agent,
                request.instance,
                _digest(secret),
                request.version,
                request.hostname or "",
                request.extensions,
                request.traits,
            )
        )
        reach("session_done")
        known = await self._agents.session(_digest(secret))
        return SessionAnswer(
            session=secret,
            epoch=epoch,
            lease_s=limits.LEASE_MS / 1000,
            valid_s=float(limits.SESSION_S),
            company="" if known is None else known.company,
        )

    async def _enter(self, opened: Opened) -> int:
        """The epoch. Another instance that seems to live is given its time to show that it does (RELIABILITY 2.6 g)."""
        try:
            entered = await self._agents.enter(opened)
            if isinstance(entered, int):
                return entered
            await self._wait_for(opened, entered)
            again = await self._agents.enter(opened, entered.at)
        except (OtherInstanceError, QuarantinedError) as error:
            self._tell(opened, error.code)
            raise
        if isinstance(again, int):
            self._tell(opened, "took over")
            return again
        raise OtherInstanceError("another instance with this key came at the same time: was a data directory copied?")

    async def _wait_for(self, opened: Opened, asked: Asked) -> None:
        end = self._clock.seconds() + limits.PROOF_S
        while self._clock.seconds() < end and not await self._agents.has_answered(opened.agent, asked):
            await sleep(self._clock, PROOF_LOOK_S)

    def _tell(self, opened: Opened, outcome: str) -> None:
        self.log.warn(
            "audit: alert: agent {agent} has another instance {instance} on {hostname}: {outcome}",
            agent=str(opened.agent),
            instance=opened.instance,
            hostname=opened.hostname,
            outcome=outcome,
        )

    async def authenticate(self, token: str) -> Session:
        """Whose session this token is; looked up at most once a second, the scripts check the epoch each time."""
        digest = _digest(token)
        cached = self._cache.get(digest)
        if cached is not None and cached.until > self._clock.seconds():
            return cached.session
        session = await self._agents.session(digest)
        if session is None:
            self._cache.pop(digest, None)
            raise UnauthorizedError("no such session: open a new one")
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[digest] = _Cached(session, self._clock.seconds() + CACHE_S)
        return session

    async def _check_signature(self, agent: AgentId, request: SessionRequest) -> None:
        stored = await self._agents.public_key(agent)
        text = session_text(agent, request.instance, request.challenge)
        if stored is None or not _verifies(stored, request.signature, text):
            raise UnauthorizedError("this agent is not known here, or the signature is not by its key")


def _verifies(stored: str, signature: str, text: bytes) -> bool:
    try:
        return verifies(read_public(stored), signature, text)
    except ValueError:  # a damaged record proves nothing
        return False


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
