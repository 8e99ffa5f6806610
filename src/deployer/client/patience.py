"""How long one request is tried again while no master answers."""

from deployer.kit.backoff import Backoff

LEAST_S = 0.05
BUSY = 429
BUSY_TIMES = 12
AWAY_TIMES = 3


class Patience:
    """`patience_s` from `now` on, both by the monotonic clock."""

    def __init__(self, patience_s: float, now: float) -> None:
        self._backoff = Backoff(0.1, 2.0)
        self._patience_s = patience_s
        self._asked_s = 0.0
        self._end = now + patience_s

    def after_loss(self, now: float) -> float | None:
        """How long to wait before the next try; None when it is over."""
        wait = LEAST_S + self._backoff.next_delay()
        return None if now + wait > self._end else wait

    def extend(self, wait: float, status: int) -> bool:
        """A master was there and asked to wait so long, which does not count; False when it has asked for too much.

        One that is busy (429) is given more time than one that something is missing of (503): that may stay away.
        """
        self._asked_s += wait
        self._end += wait
        return self._asked_s <= self._patience_s * (BUSY_TIMES if status == BUSY else AWAY_TIMES)
