"""The connection to Redis: reconnects by itself, never waits for ever, runs scripts by their hash.

txredisapi's protocol does the wire; its own factory is not used: a call on it waits for ever while Redis is down.
Here a call without a connection fails at once with UnavailableError, and a connection on which no reply came for
`deadline_s` is cut, which fails all its calls.
"""

import hashlib
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import txredisapi
from msgspec import Struct
from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from deployer.errors import DeployerError, NoSpaceError, StartError, UnavailableError
from deployer.kit.clock import Clock, sleep
from deployer.kit.periodic import Periodic
from deployer.stores.damage import Damage

RETRY_CAP_S = 1.0
MOST_CALLS: Final = 20_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""So much may wait for its reply: what is asked past that is refused at once, and nothing piles up behind a stall."""

_TEMPORARY = frozenset(
    {"LOADING", "BUSY", "MASTERDOWN", "READONLY", "MISCONF", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS"}
)
_IN_SCRIPT = re.compile(r"(?:^|[ :-])([A-Z]{3,12}) ")


class Script(Struct, frozen=True):
    """A Lua script and its SHA-1, which is what Redis knows it by."""

    name: str
    text: bytes
    sha: str

    @classmethod
    def of(cls, name: str, text: bytes) -> "Script":
        """Hash the text as Redis does."""
        return cls(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


class Login(Struct, frozen=True):
    """How to present ourselves to a configured server."""

    username: str | None = None
    password: str | None = None
    database: int = 0


NO_LOGIN = Login()


class _Protocol(txredisapi.RedisProtocol):  # type: ignore[misc]  # untyped base
    """One connection, with the time of its last reply."""

    def __init__(self, clock: Clock, made: "Callable[[_Protocol], None]") -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._made = made
        self._clock = clock
        self._heard = clock.seconds()
        self._sizes: deque[int] = deque()
        self.waiting_bytes = 0

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet, also those whose caller has left."""
        return len(self._sizes)

    def connectionMade(self) -> None:
        """Be usable at once; `Redis._prepare` logs in."""
        self.connected = 1
        self._made(self)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:  # noqa: FBT001, FBT002 (the base's form)
        """Parse; what is no reply ends the connection, and with it all calls."""
        try:
            super().dataReceived(data, unpause)
        except txredisapi.InvalidData:
            self.transport.abortConnection()

    def replyReceived(self, reply: object) -> None:
        """Note that the server is alive."""
        self._heard = self._clock.seconds()
        if self._sizes:
            self.waiting_bytes -= self._sizes.popleft()
        super().replyReceived(reply)

    def ask(self, arguments: Sequence[Any]) -> "Deferred[Any]":
        """Send one command; UnavailableError when too much waits already."""
        size = sum(len(part) for part in arguments if isinstance(part, str | bytes))
        if len(self._sizes) >= MOST_CALLS or self.waiting_bytes + size > MOST_BYTES:
            raise UnavailableError("Redis is too slow for what is asked of it; try again in a moment")
        if not self._sizes:
            self._heard = self._clock.seconds()
        self._sizes.append(size)
        self.waiting_bytes += size
        reply: Deferred[Any] = self.execute_command(*arguments)
        return reply

    def cut_when_silent(self, deadline_s: float) -> None:
        """Abort when the oldest call has had no sign of life for this long."""
        if self._sizes and self._clock.seconds() - self._heard > deadline_s:
            self.transport.abortConnection()


class Redis:
    """Calls and scripts on one pipelined connection. `refused`: calls for which too many waited already."""

    log = Logger()

    def __init__(self, endpoint: Any, clock: Clock, login: Login = NO_LOGIN, deadline_s: float = 5.0) -> None:
        self._clock = clock
        self._login = login
        self._deadline_s = deadline_s
        self.damage = Damage()
        self.refused = 0
        self._protocol: _Protocol | None = None
        self._preparing: _Protocol | None = None
        self._prepared: Deferred[None] = succeed(None)
        self._service = _service(endpoint, clock, lambda: _Protocol(clock, self._made))
        self._watch = Periodic("watching Redis", 1.0, self._cut_when_silent, clock)

    async def start(self, wait_s: float) -> None:
        """Connect; StartError when Redis is not ready within `wait_s` seconds."""
        self._service.startService()
        self._watch.startService()
        end = self._clock.seconds() + wait_s
        while not self.connected:
            if self._clock.seconds() > end:
                raise StartError(f"Redis did not answer within {wait_s:g} s: see its log and the `redis` setting")
            await sleep(self._clock, 0.02)

    async def stop(self) -> None:
        """Disconnect."""
        self._watch.stopService()
        self._prepared.cancel()
        await self._service.stopService()

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet."""
        return 0 if self._protocol is None else self._protocol.waiting

    @property
    def connected(self) -> bool:
        """Whether calls can be made now."""
        return self._protocol is not None and bool(self._protocol.connected)

    async def call(self, *arguments: Any) -> Any:
        """One command; UnavailableError when Redis cannot answer it, NoSpaceError when it is out of memory."""
        return await self._ask(arguments)

    async def calls(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Several commands in one write. The first error is raised once all have been answered."""
        outcomes = await self._outcomes(commands)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return outcomes

    async def read(self, *arguments: Any) -> Any:
        """One command that reads; what is not of its kind counts as not there, and is noted as damaged."""
        return (await self.reads([arguments]))[0]

    async def reads(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Several commands that read, in one write; what is not of its kind as for `read`."""
        replies = []
        for arguments, outcome in zip(commands, await self._outcomes(commands), strict=True):
            if isinstance(outcome, txredisapi.ResponseError) and str(outcome).startswith("WRONGTYPE"):
                self.damage.found(f"{arguments[1]} is of another type")
                replies.append(_nothing(arguments))
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                replies.append(outcome)
        return replies

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script by its hash, or by its text: kill -9 and SCRIPT FLUSH clear the cache."""
        try:
            return await _translated(self._send(("EVALSHA", script.sha, len(keys), *keys, *arguments)))
        except txredisapi.ResponseError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self._ask(("EVAL", script.text, len(keys), *keys, *arguments))

    async def _outcomes(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Replies and errors, all waited for: an error that nobody takes would be logged as a bug."""
        replies = [self._sent(arguments) for arguments in commands]
        outcomes: list[Any] = []
        try:
            for reply in replies:
                outcomes.append(await _outcome(reply))  # noqa: PERF401 (how far it came is asked below)
        finally:
            for reply in replies[len(outcomes) :]:  # the caller has left
                reply.addErrback(_ignore)
        return outcomes

    def _sent(self, arguments: Sequence[Any]) -> "Deferred[Any]":
        try:
            return self._send(arguments)
        except UnavailableError as error:
            return fail(error)

    async def _ask(self, arguments: Sequence[Any]) -> Any:
        return await _translated(self._send(arguments))

    def _send(self, arguments: Sequence[Any]) -> "Deferred[Any]":
        if self._protocol is None or not self._protocol.connected:
            raise UnavailableError("Redis is not connected; try again in a moment")
        try:
            return self._protocol.ask(arguments)
        except UnavailableError:
            self.refused += 1
            raise

    def _made(self, protocol: _Protocol) -> None:
        self._preparing = protocol
        self._prepared = Deferred.fromCoroutine(self._prepare(protocol)).addErrback(_lost)

    async def _prepare(self, protocol: _Protocol) -> None:
        """Log in, and wait while Redis loads its data or refuses us; a connection that is lost ends it."""
        failures = 0
        while True:
            try:
                await self._log_in(protocol)
            except txredisapi.ResponseError as error:
                failures += 1
                self.log.info("Redis is not ready: {error}", error=str(error)[:200])
                await sleep(self._clock, retry_delay(failures))
            else:
                self._protocol, self._preparing = protocol, None
                return

    async def _log_in(self, protocol: _Protocol) -> None:
        login = self._login
        if login.password is not None:
            await protocol.ask(("AUTH", *([login.username] if login.username else []), login.password))
        if login.database:
            await protocol.ask(("SELECT", login.database))
        await protocol.ask(("PING",))

    async def _cut_when_silent(self) -> None:
        for protocol in (self._protocol, self._preparing):
            if protocol is not None and protocol.connected:
                protocol.cut_when_silent(self._deadline_s)


def _nothing(arguments: Sequence[Any]) -> Any:
    """What this command answers where nothing is; None for HGETALL, where that is a record of another type."""
    if arguments[0] == "HMGET":
        return [None] * (len(arguments) - 2)
    return None if arguments[0] in {"GET", "HGET", "HGETALL"} else []


def _service(endpoint: Any, clock: Clock, build: Callable[[], Any]) -> ClientService:
    """Connect again and again.

    Without its `prepareConnection`: one that fails and then loses its connection makes it count a connection as lost
    that it has made meanwhile, and log a bug (Twisted 26.10).
    """
    factory = cast("Any", Factory.forProtocol(build))
    return ClientService(endpoint, factory, retryPolicy=retry_delay, clock=cast("Any", clock))


def _lost(failure: Failure) -> None:
    """The connection went away before it was of use: the service knows."""
    failure.trap(txredisapi.ConnectionError, CancelledError, UnavailableError)


def _ignore(failure: Failure) -> None:
    """Nobody waits for it any more."""


async def _outcome(reply: "Deferred[Any]") -> Any:
    try:
        return await _translated(reply)
    except (DeployerError, txredisapi.ResponseError) as error:
        return error


async def _translated(reply: "Deferred[Any]") -> Any:
    try:
        return await reply
    except txredisapi.ConnectionError as error:
        raise UnavailableError("Redis went away before it answered; try again in a moment") from error
    except txredisapi.ResponseError as error:
        reason = _reason(str(error))
        if reason == "OOM":
            raise NoSpaceError("Redis has reached its memory limit") from error
        if reason in _TEMPORARY:
            raise UnavailableError(f"Redis is not ready: {reason}; try again in a moment") from error
        raise


def _reason(text: str) -> str:
    """The first word of an error, or, as Redis 6 tells of scripts, the word in the middle that says what it was."""
    first = text.partition(" ")[0]
    if "rror running script" not in text:
        return first
    return next((word for word in _IN_SCRIPT.findall(text) if word in _TEMPORARY or word == "OOM"), first)


def retry_delay(failures: int) -> float:
    """Seconds before the next connection attempt: quick, since one local server has few clients."""
    return min(RETRY_CAP_S, 0.02 * 2.0 ** min(failures, 10))


class Subscriber:
    """A connection of its own that hears what is published; reconnects by itself."""

    def __init__(
        self,
        endpoint: Any,
        clock: Clock,
        *,
        channels: Sequence[str],
        heard: Callable[[str, str], None],
        subscribed: Callable[[], None],
        login: Login = NO_LOGIN,
    ) -> None:
        self._channels = channels
        self._subscribed = subscribed
        self._login = login
        self._service = _service(endpoint, clock, lambda: _Ear(heard, self._made))

    def start(self) -> None:
        """Connect and subscribe."""
        self._service.startService()

    async def stop(self) -> None:
        """Disconnect."""
        await self._service.stopService()

    def _made(self, ear: "_Ear") -> None:
        Deferred.fromCoroutine(self._prepare(ear)).addErrback(_lost)

    async def _prepare(self, ear: "_Ear") -> None:
        try:
            await self._subscribe(ear)
        except txredisapi.ResponseError:
            ear.transport.abortConnection()  # the service connects again

    async def _subscribe(self, ear: "_Ear") -> None:
        if self._login.password is not None:
            user = [self._login.username] if self._login.username else []
            await ear.execute_command("AUTH", *user, self._login.password)
        await ear.execute_command("SUBSCRIBE", *self._channels)
        self._subscribed()


class _Ear(txredisapi.SubscriberProtocol):  # type: ignore[misc]  # untyped base
    """The subscriber's protocol: texts, not bytes, go on."""

    def __init__(self, heard: Callable[[str, str], None], made: "Callable[[_Ear], None]") -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._heard = heard
        self._made = made

    def connectionMade(self) -> None:
        """Be usable at once."""
        self.connected = 1
        self._made(self)

    def messageReceived(self, pattern: object, channel: bytes, message: bytes) -> None:  # noqa: ARG002 (the base's form)
        """Pass on what was published."""
        self._heard(channel.decode(), message.decode("utf-8", "replace"))
