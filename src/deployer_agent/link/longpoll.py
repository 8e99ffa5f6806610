"""The long poll (protocol/wire.py 3 to 6): brings commands, takes acceptances, messages and results."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from twisted.logger import Logger

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, sleep
from deployer.kit.inflight import Inflight
from deployer.protocol.commands import Envelope
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.protocol.wire import (
    POLL_S,
    AcceptAnswer,
    AcceptRequest,
    LogAnswer,
    LogBatch,
    PollAnswer,
    Receipt,
    ResultAnswer,
    ResultBatch,
    Verdict,
)
from deployer_agent.link.http import POST_S, LinkError, MasterHttp, RefusedByMaster
from deployer_agent.link.session import Sessions

T = TypeVar("T")
PATIENCE_S: Final = 10.0
"""How much longer than a poll lasts its answer may take: then the way to the master is a black hole."""
FULL_POLL_S: Final = 1.0
LOG_EVERY_S: Final = 60.0
_UNAUTHORIZED: Final = 401
_OURS_TO_MEND: Final = frozenset({400, 413, 415, 422})


class Inbox(msgspec.Struct, frozen=True):
    """Where commands go: how many more there is room for, and who takes them."""

    room: Callable[[], int]
    take: Callable[[Sequence[Envelope]], None]


class LongPollLink:
    """Keeps asking, whatever happens."""

    log = Logger()

    def __init__(self, http: MasterHttp, sessions: Sessions, agent: AgentId, clock: Clock) -> None:
        self._http = http
        self._sessions = sessions
        self._path = f"/{agent.gid}/{agent.nid}"
        self._clock = clock
        self._inflight = Inflight()
        self._told = -LOG_EVERY_S
        self._failures = 0

    def start(self, inbox: Inbox) -> None:
        """Begin to poll."""
        self._inflight.spawn("polling", self._poll_for_ever(inbox))

    async def stop(self) -> None:
        """Poll no more."""
        await self._inflight.cancel()

    async def accept(self, ids: Sequence[str]) -> Sequence[Verdict]:
        """Post acceptances until they are answered."""
        answer = await self._insist("POST", "/accept", _accepted, AcceptRequest(list(ids)))
        return answer.verdicts

    async def results(self, results: Sequence[Result]) -> Sequence[Receipt]:
        """Post results until they are answered."""
        answer = await self._insist("POST", "/result", _received, ResultBatch(list(results)))
        return answer.receipts

    async def messages(self, batch: LogBatch) -> int:
        """Post a batch of messages until it is answered; the highest number that is stored."""
        return (await self._insist("POST", "/log", _logged, batch)).acked

    async def _poll_for_ever(self, inbox: Inbox) -> None:
        while True:
            room = inbox.room()
            wait_s = POLL_S if room else FULL_POLL_S
            path = f"/cmd?n={room}&wait={wait_s:g}"
            answer = await self._insist("GET", path, _polled, None, wait_s + PATIENCE_S)
            if answer.commands:
                inbox.take(answer.commands)

    async def _insist(
        self, method: str, path: str, answer: Callable[[bytes], T], body: Any, timeout_s: float = POST_S
    ) -> T:
        """Ask until the master has answered; RefusedByMaster only for what asking again cannot mend."""
        backoff = Backoff()
        while True:
            try:
                done = await self._ask(method, path, answer, body, timeout_s)
            except (LinkError, RefusedByMaster) as error:
                if isinstance(error, RefusedByMaster) and error.status in _OURS_TO_MEND:
                    raise
                self._tell(error)
            else:
                self._back()
                return done
            await sleep(self._clock, backoff.next_delay())

    async def _ask(self, method: str, path: str, answer: Callable[[bytes], T], body: Any, timeout_s: float) -> T:
        token = await self._sessions.token()
        try:
            return await self._http.ask(method, self._path + path, answer, body=body, token=token, timeout_s=timeout_s)
        except RefusedByMaster as error:
            if error.status == _UNAUTHORIZED or error.code == "stale_session":
                self._sessions.refused(token)
            raise

    def _tell(self, error: Exception) -> None:
        """One line a minute, whatever fails how often."""
        self._failures += 1
        if self._clock.seconds() - self._told >= LOG_EVERY_S:
            self._told = self._clock.seconds()
            self.log.warn("no way to the master: {error}; {count} failures", error=str(error), count=self._failures)

    def _back(self) -> None:
        if self._failures:
            self.log.info("the master answers again after {count} failures", count=self._failures)
            self._failures = 0


async def post_messages(
    outbox: Any, link: LongPollLink, clock: Clock, *, flush_s: float, enough_bytes: int, log: Logger
) -> None:
    """Send messages for ever: at once when there are many, else after `flush_s`, so that lines go together."""
    while True:
        await outbox.wanted()
        if outbox.ready_bytes < enough_bytes:
            await sleep(clock, flush_s)
        batch = outbox.batch()
        try:
            await link.messages(batch)
        except RefusedByMaster as error:
            log.warn("the master refuses a batch of messages, they are lost: {error}", error=str(error))
        outbox.acknowledged()


_polled = msgspec.json.Decoder(PollAnswer).decode
_accepted = msgspec.json.Decoder(AcceptAnswer).decode
_received = msgspec.json.Decoder(ResultAnswer).decode
_logged = msgspec.json.Decoder(LogAnswer).decode
