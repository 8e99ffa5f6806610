"""The connection to Redis: reconnects by itself, never waits for ever, runs scripts by their hash.

txredisapi's protocol does the wire; its own factory is not used: a call on it waits for ever while Redis is down.
Here a call without a connection fails at once with UnavailableError, and a connection on which no reply came for
`deadline_s` is cut, which fails all its calls.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import txredisapi
from msgspec import Struct
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from deployer.errors import DeployerError, StartError, UnavailableError
from deployer.kit.clock import Clock, sleep
from deployer.kit.periodic import Periodic
from deployer.stores.connection import DEADLINE_S, NO_LOGIN, Connection, Keeper, Login
from deployer.stores.damage import Damage
from deployer.stores.refusals import translated


class Script(Struct, frozen=True):
    """A Lua script and its SHA-1, which is what Redis knows it by."""

    name: str
    text: bytes
    sha: str

    @classmethod
    def of(cls, name: str, text: bytes) -> "Script":
        """Hash the text as Redis does."""
        return cls(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


class Redis:
    """Calls and scripts on one pipelined connection. `refused`: calls for which too many waited already."""

    log = Logger()

    def __init__(self, endpoint: Any, clock: Clock, login: Login = NO_LOGIN, deadline_s: float = DEADLINE_S) -> None:
        self._clock = clock
        self._deadline_s = deadline_s
        self.damage = Damage()
        self.refused = 0
        self._keeper = Keeper(endpoint, clock, lambda: Connection(clock), login, _be_ready)
        self._watch = Periodic("watching Redis", 1.0, self._cut_when_silent, clock)

    async def start(self, wait_s: float) -> None:
        """Connect; StartError when Redis is not ready within `wait_s` seconds."""
        self._keeper.start()
        self._watch.startService()
        end = self._clock.seconds() + wait_s
        while not self.connected:
            if self._clock.seconds() > end:
                raise StartError(self._why_not(wait_s))
            await sleep(self._clock, 0.02)

    def _why_not(self, waited_s: float) -> str:
        if self._keeper.refusal:
            return f"Redis does not let us in: {self._keeper.refusal}"
        return f"Redis did not answer within {waited_s:g} s: see its log and the `redis` setting"

    async def stop(self) -> None:
        """Disconnect."""
        self._watch.stopService()
        await self._keeper.stop()

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet."""
        return 0 if self._keeper.now is None else self._keeper.now.waiting

    @property
    def connected(self) -> bool:
        """Whether calls can be made now."""
        return self._keeper.now is not None

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
            return await translated(self._send(("EVALSHA", script.sha, len(keys), *keys, *arguments)))
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
        return await translated(self._send(arguments))

    def _send(self, arguments: Sequence[Any]) -> "Deferred[Any]":
        connection = self._keeper.now
        if connection is None:
            raise UnavailableError("Redis is not connected; try again in a moment")
        try:
            return connection.ask(arguments)
        except UnavailableError:
            self.refused += 1
            raise

    async def _cut_when_silent(self) -> None:
        self._keeper.cut_when_silent(self._deadline_s)


async def _be_ready(connection: Connection) -> None:
    """A connection that is logged in serves all calls."""


def _nothing(arguments: Sequence[Any]) -> Any:
    """What this command answers where nothing is; None for HGETALL, where that is a record of another type."""
    if arguments[0] == "HMGET":
        return [None] * (len(arguments) - 2)
    return None if arguments[0] in {"GET", "HGET", "HGETALL", "ZCARD"} else []


def _ignore(failure: Failure) -> None:
    """Nobody waits for it any more."""


async def _outcome(reply: "Deferred[Any]") -> Any:
    try:
        return await translated(reply)
    except (DeployerError, txredisapi.ResponseError) as error:
        return error
