"""Who is connected: how many from one address without a token, and whose time is over.

One sweep a second looks at all deadlines: setting one costs an assignment, not a timer for each request.
"""

from collections import Counter
from typing import Final, Protocol

from deployer.kit.clock import Call, Clock

SWEEP_S: Final = 1.0


class Connection(Protocol):
    """What is known of a connection here."""

    address: str
    deadline: float | None

    def late(self) -> None:
        """Its deadline has passed."""

    def drain(self) -> None:
        """Close when the request that is under way is answered, or now when there is none."""


class Connections:
    """All open connections of a site."""

    def __init__(self, per_address: int, clock: Clock) -> None:
        self._per_address = per_address
        self._clock = clock
        self._open: set[Connection] = set()
        self._strangers: set[Connection] = set()
        self._count: Counter[str] = Counter()
        self._sweep: Call | None = None

    def __len__(self) -> int:
        return len(self._open)

    def strangers(self, address: str) -> int:
        """How many connections of an address have not authenticated."""
        return self._count[address]

    def opened(self, connection: Connection) -> bool:
        """Take a new connection in; False when its address has too many that have not authenticated."""
        self._open.add(connection)
        if self._sweep is None:
            self._sweep = self._clock.callLater(SWEEP_S, self._look)
        if self._count[connection.address] >= self._per_address:
            return False
        self._strangers.add(connection)
        self._count[connection.address] += 1
        return True

    def authenticated(self, connection: Connection) -> None:
        """Count it no longer against its address."""
        if connection in self._strangers:
            self._strangers.remove(connection)
            self._count[connection.address] -= 1
            if not self._count[connection.address]:
                del self._count[connection.address]

    def closed(self, connection: Connection) -> None:
        """Forget it."""
        self.authenticated(connection)
        self._open.discard(connection)
        if not self._open and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def drain(self) -> None:
        """No connection gets another request."""
        for connection in list(self._open):
            connection.drain()

    def _look(self) -> None:
        self._sweep = self._clock.callLater(SWEEP_S, self._look)
        now = self._clock.seconds()
        for connection in [c for c in self._open if c.deadline is not None and c.deadline <= now]:
            connection.late()
