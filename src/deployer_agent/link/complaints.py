"""What goes wrong on the link is said at most once a minute: an outage is one story, not a thousand lines."""

from typing import Final

from twisted.logger import Logger

from deployer.kit.clock import Clock
from deployer_agent.errors import RevokedError

EVERY_S: Final = 60.0


class Complaints:
    """Logs a warning now and then, with how many were not logged; tells when all is well again."""

    log = Logger()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet_until: float | None = None
        self._silent = 0
        self._final = False
        self.count = 0

    def say(self, what: str, error: Exception) -> None:
        """Note one failure."""
        self.count += 1
        if isinstance(error, RevokedError):
            if not self._final:
                self.log.error("{error}", error=str(error))
            self._final = True
            return
        now = self._clock.seconds()
        if self._quiet_until is not None and now < self._quiet_until:
            self._silent += 1
            return
        self.log.warn(
            "{what}: {error} ({more} more since the last line)", what=what, error=str(error), more=self._silent
        )
        self._quiet_until, self._silent = now + EVERY_S, 0

    def well(self) -> None:
        """Note a success after failures."""
        if self._quiet_until is not None:
            self.log.info("the master answers again")
            self._quiet_until, self._silent = None, 0
