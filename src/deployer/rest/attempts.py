"""Whoever guesses is slowed down, and nobody else: wrong tokens and log-ins are counted by where they come from."""

from typing import Final

from twisted.logger import Logger

from deployer.errors import TooManyError
from deployer.kit.allowance import Allowance
from deployer.kit.clock import Clock

A_MINUTE: Final = 100
MINUTE_S: Final = 60.0
LINE_S: Final = 1.0


class Attempts:
    """Counts wrong attempts of one kind; `what` is for the log, which gets at most one line a second and source."""

    log = Logger()

    def __init__(self, what: str, clock: Clock) -> None:
        self._what = what
        self._wrong = Allowance(A_MINUTE, MINUTE_S, clock)
        self._lines = Allowance(1, LINE_S, clock)
        self.failures = 0

    def require(self, source: str) -> None:
        """TooManyError when nothing more is looked at from here for a while."""
        wait_s = self._wrong.wait_s(source)
        if wait_s > 0:
            raise TooManyError(f"too many wrong {self._what} from your address: wait", wait_s)

    def failed(self, source: str, error: Exception) -> Exception:
        """Count a wrong one; what to raise."""
        self.failures += 1
        if self._lines.spend(source):
            self.log.warn(
                "audit: wrong {what} from {source}, {count} in all", what=self._what, source=source, count=self.failures
            )
        if self._wrong.spend(source):
            return error
        return TooManyError(f"too many wrong {self._what} from your address: wait", self._wrong.wait_s(source))
