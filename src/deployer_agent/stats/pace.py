"""Pauses in long work, so that the reactor serves others in between."""

from typing import Final

from deployer.kit.clock import Clock, sleep

SLICE_S: Final = 0.004


class Pace:
    """Work goes on for `slice_s` seconds, then everything else has its turn."""

    def __init__(self, clock: Clock, slice_s: float = SLICE_S) -> None:
        self._clock = clock
        self._slice_s = slice_s
        self._until = clock.seconds() + slice_s

    @property
    def spent(self) -> bool:
        """Whether it is time to rest."""
        return self._clock.seconds() >= self._until

    async def rest(self) -> None:
        """Let the reactor have one turn."""
        await sleep(self._clock, 0)
        self._until = self._clock.seconds() + self._slice_s
