"""One connection to Redis at a time: made again and again, logged in, bounded in what waits, cut when it is silent.

txredisapi's protocol does the wire; its own factory is not used: a call on it waits for ever while Redis is down.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar, cast

import txredisapi
from msgspec import Struct
from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from deployer.errors import UnavailableError
from deployer.kit.clock import Clock, sleep

RETRY_CAP_S: Final = 1.0
DEADLINE_S: Final = 5.0
MOST_CALLS: Final = 20_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""So much may wait for its reply: what is asked past that is refused at once, and nothing piles up behind a stall."""


class Login(Struct, frozen=True):
    """How to present ourselves to a configured server."""

    username: str | None = None
    password: str | None = None
    database: int = 0


NO_LOGIN: Final = Login()


class Connection(txredisapi.RedisProtocol):  # type: ignore[misc]  # untyped base
    """One connection, with what waits on it and the time of its last reply."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self.made: Callable[[], None] = _nobody
        self._clock = clock
        self._heard = clock.seconds()
        self._sizes: deque[int] = deque()
        self.waiting_bytes = 0

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet, also those whose caller has left."""
        return len(self._sizes)

    def connectionMade(self) -> None:
        """Be usable at once; who made it logs in."""
        self.connected = 1
        self.made()

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:  # noqa: FBT001, FBT002 (the base's form)
        """Parse; what is no reply ends the connection, and with it all calls."""
        try:
            super().dataReceived(data, unpause)
        except txredisapi.InvalidData:
            self.transport.abortConnection()

    def replyReceived(self, reply: object) -> None:
        """Note that the server is alive."""
        self.hear()
        if self._sizes:
            self.waiting_bytes -= self._sizes.popleft()
        super().replyReceived(reply)

    def hear(self) -> None:
        """Note that something came."""
        self._heard = self._clock.seconds()

    def ask(self, arguments: Sequence[Any]) -> "Deferred[Any]":
        """Send one command; UnavailableError when too much waits already."""
        size = sum(len(part) for part in arguments if isinstance(part, str | bytes))
        if len(self._sizes) >= MOST_CALLS or self.waiting_bytes + size > MOST_BYTES:
            raise UnavailableError("Redis is too slow for what is asked of it; try again in a moment")
        if not self._sizes:
            self.hear()
        self._sizes.append(size)
        self.waiting_bytes += size
        reply: Deferred[Any] = self.execute_command(*arguments)
        return reply

    def cut_when_silent(self, deadline_s: float) -> None:
        """Abort when the oldest call has had no sign of life for this long."""
        if self._sizes and self._clock.seconds() - self._heard > deadline_s:
            self.transport.abortConnection()


C = TypeVar("C", bound=Connection)


class Keeper(Generic[C]):
    """Keeps one connection: `now` when it is ready for use, None while there is none.

    `prepare` is called with each new connection that is logged in. `refusal`: what Redis said last instead of letting
    us in, empty when it did.
    """

    log = Logger()

    def __init__(
        self,
        endpoint: Any,
        clock: Clock,
        build: Callable[[], C],
        login: Login,
        prepare: Callable[[C], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._build = build
        self._login = login
        self._prepare = prepare
        self._ready: C | None = None
        self._newest: C | None = None
        self._preparing: Deferred[None] = succeed(None)
        self._failures = 0
        self.refusal = ""
        # without its `prepareConnection`: one that fails and then loses its connection makes it count a connection as
        # lost that it has made meanwhile, and log a bug (Twisted 26.10)
        self._service = ClientService(
            endpoint, cast("Any", Factory.forProtocol(self._make)), retryPolicy=self._delay, clock=cast("Any", clock)
        )

    def start(self) -> None:
        """Connect, again and again."""
        self._service.startService()

    async def stop(self) -> None:
        """Disconnect."""
        self._preparing.cancel()
        await self._service.stopService()

    @property
    def now(self) -> C | None:
        """The connection that is ready."""
        return self._ready if self._ready is not None and self._ready.connected else None

    def cut_when_silent(self, deadline_s: float) -> None:
        """Abort the connection when a call on it, or its login, has waited for this long."""
        if self._newest is not None and self._newest.connected:
            self._newest.cut_when_silent(deadline_s)

    def _delay(self, _: int) -> float:
        """Before the next attempt; a server that lets us in and throws us out is no better than one that is away."""
        self._failures += 1
        return retry_delay(self._failures)

    def _make(self) -> C:
        made = self._build()
        made.made = lambda: self._made(made)
        return made

    def _made(self, connection: C) -> None:
        self._newest = connection
        self._preparing = Deferred.fromCoroutine(self._make_ready(connection)).addErrback(_lost)

    async def _make_ready(self, connection: C) -> None:
        await self._log_in(connection)
        try:
            await self._prepare(connection)
        except txredisapi.ResponseError as error:
            self._note(error)
            connection.transport.abortConnection()  # the service makes another
        else:
            self._ready, self._failures, self.refusal = connection, 0, ""

    async def _log_in(self, connection: C) -> None:
        """Wait while Redis loads its data or refuses us; a connection that is lost ends it."""
        while True:
            try:
                await log_in(connection, self._login)
            except txredisapi.ResponseError as error:
                self._note(error)
                await sleep(self._clock, retry_delay(self._failures))
            else:
                return

    def _note(self, error: Exception) -> None:
        self._failures += 1
        self.refusal = str(error)[:200]
        self.log.info("Redis is not ready: {error}", error=self.refusal)


async def log_in(connection: Connection, login: Login) -> None:
    """Present ourselves; ResponseError when Redis does not want us, or not yet."""
    if login.password is not None:
        await connection.ask(("AUTH", *([login.username] if login.username else []), login.password))
    if login.database:
        await connection.ask(("SELECT", login.database))
    await connection.ask(("PING",))


def retry_delay(failures: int) -> float:
    """Seconds before the next connection attempt: quick, since one local server has few clients."""
    return min(RETRY_CAP_S, 0.02 * 2.0 ** min(failures, 10))


def _lost(failure: Failure) -> None:
    """The connection went away before it was of use: the service knows."""
    failure.trap(txredisapi.ConnectionError, CancelledError, UnavailableError)


def _nobody() -> None:
    """Nobody keeps it."""
