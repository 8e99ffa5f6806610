"""How long one request is tried again while no master answers."""

from deployer.kit.backoff import Backoff

LEAST_S = 0.05


class Patience:
    """`patience_s` from `now` on, both by the monotonic clock."""

    def __init__(self, patience_s: float, now: float) -> None:
        self._backoff = Backoff(0.1, 2.0)
        self._end = now + patience_s

    def after_loss(self, now: float) -> float | None:
        """How long to wait before the next try; None when it is over."""
        wait = LEAST_S + self._backoff.next_delay()
        return None if now + wait > self._end else wait

    def extend(self, wait: float) -> None:
        """A master was there and asked to wait so long: that does not count."""
        self._end += wait
