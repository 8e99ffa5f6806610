"""The connection to Redis: reconnects by itself, never waits for ever, runs scripts by their hash.

txredisapi's protocol does the wire; its own factory is not used: a call on it waits for ever while Redis is down.
Here a call without a connection fails at once with UnavailableError, and a connection on which no reply came for
`deadline_s` is cut, which fails all its calls.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import txredisapi
from msgspec import Struct
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from deployer.errors import DeployerError, NoSpaceError, StartError, UnavailableError
from deployer.kit.clock import Clock, sleep
from deployer.kit.periodic import Periodic
from deployer.stores.damage import Damage

RETRY_CAP_S = 1.0
_TEMPORARY = ("LOADING", "BUSY", "MASTERDOWN", "READONLY", "MISCONF", "TRYAGAIN", "CLUSTERDOWN")


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

    def __init__(self, clock: Clock) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._clock = clock
        self._heard = clock.seconds()

    def connectionMade(self) -> None:
        """Be usable at once; `Redis._prepare` logs in."""
        self.connected = 1

    def replyReceived(self, reply: object) -> None:
        """Note that the server is alive."""
        self._heard = self._clock.seconds()
        super().replyReceived(reply)

    def ask(self, arguments: Sequence[Any]) -> "Deferred[Any]":
        """Send one command."""
        if not self.replyQueue.waiting:
            self._heard = self._clock.seconds()
        reply: Deferred[Any] = self.execute_command(*arguments)
        return reply

    def cut_when_silent(self, deadline_s: float) -> None:
        """Abort when the oldest call has had no sign of life for this long."""
        if self.replyQueue.waiting and self._clock.seconds() - self._heard > deadline_s:
            self.transport.abortConnection()


class Redis:
    """Calls and scripts on one pipelined connection."""

    log = Logger()

    def __init__(self, endpoint: Any, clock: Clock, login: Login = NO_LOGIN, deadline_s: float = 5.0) -> None:
        self._clock = clock
        self._login = login
        self._deadline_s = deadline_s
        self.damage = Damage()
        self._protocol: _Protocol | None = None
        self._service = ClientService(
            endpoint,
            cast("Any", Factory.forProtocol(lambda: _Protocol(clock))),
            retryPolicy=retry_delay,
            clock=cast("Any", clock),
            prepareConnection=lambda protocol: Deferred.fromCoroutine(self._prepare(protocol)),
        )
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
        await self._service.stopService()

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
        replies = [self._send(arguments) for arguments in commands]
        outcomes: list[Any] = []
        for reply in replies:
            try:
                outcomes.append(await _translated(reply))
            except (DeployerError, txredisapi.ResponseError) as error:
                outcomes.append(error)
        return outcomes

    async def _ask(self, arguments: Sequence[Any]) -> Any:
        return await _translated(self._send(arguments))

    def _send(self, arguments: Sequence[Any]) -> "Deferred[Any]":
        if self._protocol is None or not self._protocol.connected:
            raise UnavailableError("Redis is not connected; try again in a moment")
        return self._protocol.ask(arguments)

    async def _prepare(self, protocol: _Protocol) -> None:
        """Log in, and wait while Redis loads its data. Raising makes the service try again."""
        login = self._login
        if login.password is not None:
            await protocol.ask(("AUTH", *([login.username] if login.username else []), login.password))
        if login.database:
            await protocol.ask(("SELECT", login.database))
        try:
            await protocol.ask(("PING",))
        except txredisapi.ResponseError:
            protocol.transport.loseConnection()
            raise
        self._protocol = protocol

    async def _cut_when_silent(self) -> None:
        if self._protocol is not None and self._protocol.connected:
            self._protocol.cut_when_silent(self._deadline_s)


def _nothing(arguments: Sequence[Any]) -> Any:
    """What this command answers where nothing is; None for HGETALL, where that is a record of another type."""
    if arguments[0] == "HMGET":
        return [None] * (len(arguments) - 2)
    return None if arguments[0] in {"GET", "HGET", "HGETALL", "ZCARD"} else []


async def _translated(reply: "Deferred[Any]") -> Any:
    try:
        return await reply
    except txredisapi.ConnectionError as error:
        raise UnavailableError("Redis went away before it answered; try again in a moment") from error
    except txredisapi.ResponseError as error:
        text = str(error)
        if text.startswith("OOM"):
            raise NoSpaceError("Redis has reached its memory limit") from error
        if text.startswith(_TEMPORARY):
            raise UnavailableError(f"Redis is not ready: {text[:100]}") from error
        raise


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
        self._service = ClientService(
            endpoint,
            cast("Any", Factory.forProtocol(lambda: _Ear(heard))),
            retryPolicy=retry_delay,
            clock=cast("Any", clock),
            prepareConnection=lambda protocol: Deferred.fromCoroutine(self._prepare(protocol)),
        )

    def start(self) -> None:
        """Connect and subscribe."""
        self._service.startService()

    async def stop(self) -> None:
        """Disconnect."""
        await self._service.stopService()

    async def _prepare(self, ear: "_Ear") -> None:
        if self._login.password is not None:
            user = [self._login.username] if self._login.username else []
            await ear.execute_command("AUTH", *user, self._login.password)
        await ear.execute_command("SUBSCRIBE", *self._channels)
        self._subscribed()


class _Ear(txredisapi.SubscriberProtocol):  # type: ignore[misc]  # untyped base
    """The subscriber's protocol: texts, not bytes, go on."""

    def __init__(self, heard: Callable[[str, str], None]) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._heard = heard

    def connectionMade(self) -> None:
        """Be usable at once."""
        self.connected = 1

    def messageReceived(self, pattern: object, channel: bytes, message: bytes) -> None:  # noqa: ARG002 (the base's form)
        """Pass on what was published."""
        self._heard(channel.decode(), message.decode("utf-8", "replace"))
