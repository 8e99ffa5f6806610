"""How late the reactor is: what keeps it from its work shows here."""

from typing import Final

from twisted.application.service import Service

from deployer.kit.clock import Call, Clock

EVERY_S: Final = 0.5
KEPT: Final = 0.9
"""What stays of the worst lag with each look, so that it can be seen for a while."""


class Lag(Service):
    """`worst`: by how many seconds calls came late, the worst of the last moments."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._call: Call | None = None
        self.worst = 0.0

    def startService(self) -> None:
        """Begin to look."""
        Service.startService(self)
        self._next()

    def stopService(self) -> None:
        """Look no more."""
        Service.stopService(self)
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _next(self) -> None:
        due = self._clock.seconds() + EVERY_S
        self._call = self._clock.callLater(EVERY_S, self._look, due)

    def _look(self, due: float) -> None:
        self.worst = max(self._clock.seconds() - due, self.worst * KEPT, 0.0)
        self._next()
