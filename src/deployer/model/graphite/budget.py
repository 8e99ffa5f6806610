"""What one request may cost. Everything that grows with the question counts here, about a microsecond a unit."""

from typing import Final

from deployer.model.graphite.problems import TooMuchError

UNITS: Final = 3_000_000


class Budget:
    """What is left of a request's allowance."""

    def __init__(self, units: int = UNITS) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Count what is about to be done. TooMuchError when it is more than is left."""
        self.left -= units
        if self.left < 0:
            raise TooMuchError(
                "this takes too long to answer: ask for fewer series, a shorter time or simpler functions"
            )
