"""Asks the master for commands, one poll after the other (wire.py 3)."""

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from deployer.kit.backoff import Backoff
from deployer.kit.clock import Clock, sleep
from deployer.protocol.commands import Envelope
from deployer.protocol.wire import MAX_COMMANDS, PollAnswer
from deployer_agent.errors import LinkError
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.requests import Requests


class LongPoll:
    """Hands over what each poll brings and asks again at once; `room` says how many commands may come."""

    log = Logger()

    def __init__(
        self,
        requests: Requests,
        room: Callable[[], int],
        take: Callable[[Sequence[Envelope]], None],
        clock: Clock,
        complaints: Complaints,
    ) -> None:
        self._requests = requests
        self._room = room
        self._take = take
        self._clock = clock
        self._complaints = complaints
        self._backoff = Backoff()
        self._running: Deferred[None] | None = None
        self._over = False

    def start(self) -> None:
        """Begin to poll."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._running.addErrback(lambda failure: self.log.failure("polling ended", failure=failure))

    async def stop(self) -> None:
        """Poll no more."""
        self._over = True  # a cancellation that comes with an answer or a failure is lost
        if self._running is not None:
            self._running.cancel()
            await self._running

    async def _run(self) -> None:
        while not self._over:
            try:
                answer = await self._requests.poll(min(self._room(), MAX_COMMANDS), PollAnswer)
            except LinkError as error:
                await self._fail(error)
                continue
            self._backoff.reset()
            self._complaints.well()
            if answer.commands:
                self._take(answer.commands)

    async def _fail(self, error: LinkError) -> None:
        if not self._over:
            self._complaints.say("no commands could be asked for", error)
            await sleep(self._clock, self._backoff.next_delay())
