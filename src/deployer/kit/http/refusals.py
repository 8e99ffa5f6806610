"""What was refused: counted by code, and logged at most once a second however many come."""

from collections import Counter

from twisted.logger import Logger

from deployer.kit.clock import Clock
from deployer.kit.http.problems import Refusal

QUIET_S = 1.0


class Refusals:
    """Counts of refused requests."""

    log = Logger()

    def __init__(self, clock: Clock) -> None:
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._logged_at = float("-inf")
        self._unlogged = 0

    def add(self, refusal: Refusal, address: str) -> None:
        """Count one; the log names the code and the address, never what was sent."""
        self.counts[refusal.code] += 1
        self._unlogged += 1
        now = self._clock.seconds()
        if now - self._logged_at >= QUIET_S:
            self.log.info(
                "refused {count} requests, the last from {address}: {status} {code}",
                count=self._unlogged,
                address=address,
                status=refusal.status,
                code=refusal.code,
            )
            self._logged_at, self._unlogged = now, 0
