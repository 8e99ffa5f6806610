"""Waiting times between tries: capped exponential with full jitter: who failed together does not return together."""

import random
from collections.abc import Callable


class Backoff:
    """Delays in seconds between 0 and a bound that doubles with each failure from `initial_s` to `cap_s`."""

    def __init__(
        self, initial_s: float = 1.0, cap_s: float = 60.0, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._initial_s = initial_s
        self._cap_s = cap_s
        self._uniform = uniform
        self.failures = 0

    def reset(self) -> None:
        """What was tried has worked."""
        self.failures = 0

    def next_delay(self) -> float:
        """How long to wait after one more failure."""
        bound = min(self._cap_s, self._initial_s * 2 ** min(self.failures, 30))
        self.failures += 1
        return self._uniform(0.0, bound)
