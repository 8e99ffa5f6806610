"""Jobs that have ended, of which something may still live: an orphan may be theirs. Pure."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct

from deployer_agent.processes.plan import Footprint

MOST: Final = 10_000
"""So many times at which jobs ran are kept apart; times that overlap are one."""

Key = tuple[int, int]
"""Pid and start: no two processes of one boot have both the same."""


class Over(Struct, frozen=True):
    """A job that has ended, and who was seen to belong to it last."""

    footprint: Footprint
    seen: AbstractSet[Key]


class Past:
    """Knows of every time, in ticks of the boot, whether a job that is over can have started something then."""

    def __init__(self) -> None:
        self._open: dict[str, Over] = {}
        self._times: list[tuple[int, int]] = []

    def add(self, footprint: Footprint, seen: AbstractSet[Key]) -> None:
        """Its first process has ended. Until `close` it is as if something of it lived."""
        self._open[footprint.marker] = Over(footprint, seen)

    def close(self, lives: Callable[[Over], bool], ticks: int) -> None:
        """Of what does not live any more, nothing can have been started from now on."""
        for over in [over for over in self._open.values() if not lives(over)]:
            del self._open[over.footprint.marker]
            self._ran(over.footprint.start, ticks)

    def can_have_started(self, start: int) -> bool:
        """Whether what began then may be a job's that is over."""
        if any(over.footprint.start <= start for over in self._open.values()):
            return True
        return any(begun <= start <= ended for begun, ended in self._times)

    def _ran(self, begun: int, ended: int) -> None:
        while self._times and self._times[-1][1] >= begun:
            begun = min(begun, self._times.pop()[0])
        self._times.append((begun, ended))
        del self._times[:-MOST]
