"""When is a process of the agent's own ready, so that those which depend on it may start?"""

import re
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from deployer.kit.clock import sleep
from deployer_agent.processes.output import Output

KNOCK_S: Final = 0.2
LOOKED_AT: Final = 1000
"""So many characters of a message are searched: a pattern can take very long for a long text."""

CONNECT_S: Final = 2.0


class Terms(Struct, frozen=True, kw_only=True):
    """How readiness is told: a line that matches, a port of this host that is open, a time (s), or none of them."""

    match: str | None = None
    port: int | None = None
    after_s: float | None = None


class Readiness:
    """Of one process. `done` fires once, with None."""

    def __init__(self, terms: Terms, reactor: Any) -> None:
        self._terms = terms
        self._reactor = reactor
        self._pattern = None if terms.match is None else re.compile(terms.match)
        self.done: Deferred[None] = Deferred()

    @property
    def asked_for(self) -> bool:
        """Whether any of the three is to tell it."""
        return self._terms != Terms()

    def hear(self, output: Output) -> None:
        """Look at what it prints."""
        if (
            self._pattern is not None
            and not self.done.called
            and any(self._pattern.search(text[:LOOKED_AT]) for _, text, _ in output)
        ):
            self.set()

    async def watch(self) -> None:
        """Look at the port or the clock until it is ready; to be cancelled when the process has ended for good."""
        if self._terms.after_s is not None:
            await sleep(self._reactor, self._terms.after_s)
            self.set()
        elif self._terms.port is not None:
            while not await self._is_open(self._terms.port):
                await sleep(self._reactor, KNOCK_S)
            self.set()

    def set(self) -> None:
        """It is ready."""
        if not self.done.called:
            self.done.callback(None)

    async def _is_open(self, port: int) -> bool:
        endpoint: Any = TCP4ClientEndpoint(self._reactor, "127.0.0.1", port, timeout=CONNECT_S)
        try:
            connection: Any = await connectProtocol(endpoint, Protocol())
        except Exception:  # noqa: BLE001 (whatever it was, nobody listens yet)
            return False
        connection.transport.loseConnection()
        return True
