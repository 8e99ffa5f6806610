"""How long things took, in little memory: counts by classes that grow by a tenth, as HdrHistogram has them."""

import math
from typing import Final

LEAST_S: Final = 0.0001
STEP: Final = 1.1
CLASSES: Final = 160
"""Up to some 400 s; what takes longer is in the last one."""


class Latencies:
    """Times in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * CLASSES
        self._total = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[_class_of(seconds)] += 1
        self._total += seconds
        self.count += 1

    @property
    def mean(self) -> float:
        """Seconds; 0 when there are none."""
        return self._total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Seconds that this share of all did not take longer than, at most a tenth too much; 0 when there are none."""
        left = math.ceil(share * self.count)
        if left == 0:
            return 0.0
        for number, count in enumerate(self._counts):
            left -= count
            if left <= 0:
                return LEAST_S * STEP ** (number + 1)
        raise AssertionError("the counts are not what was counted")


def _class_of(seconds: float) -> int:
    if seconds < LEAST_S:
        return 0
    return min(int(math.log(seconds / LEAST_S, STEP)), CLASSES - 1)
