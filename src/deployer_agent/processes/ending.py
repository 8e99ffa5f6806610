"""A process and everything it started are ended: asked first, then made to, until nobody is left."""

import signal
from collections.abc import Callable
from typing import Final

from deployer.kit.clock import Call, Clock
from deployer_agent.processes.plan import Ender, Footprint

LOOK_S: Final = 0.1
"""How often we look whether all have gone."""

UNKILLABLE_S: Final = 10.0
"""How long after KILL we wait for what even KILL does not end (the kernel holds it)."""

KILL: Final = 9  # SIGKILL, which Windows' module does not name
TERM: Final = int(signal.SIGTERM)


class Ending:
    """Under way from its making; `gone` is called once, when nobody is left or what is left cannot be ended.

    `grace`: seconds between the first signal and KILL; 0: KILL at once.
    """

    def __init__(
        self,
        ender: Ender,
        footprint: Footprint,
        clock: Clock,
        gone: Callable[[], None],
        *,
        number: int = TERM,
        grace: float = 0.0,
    ) -> None:
        self._ender = ender
        self._footprint = footprint
        self._clock = clock
        self._gone = gone
        self._kill_at = clock.seconds() + (0.0 if number == KILL else grace)
        self.over = False
        first = KILL if self._kill_at <= clock.seconds() else number
        self._ender.signal(footprint, first)
        self._timer: Call = clock.callLater(min(LOOK_S, grace), self._look)

    def kill_now(self) -> None:
        """Wait no longer."""
        if not self.over:
            self._kill_at = min(self._kill_at, self._clock.seconds())

    def _look(self) -> None:
        """See whether somebody is left, and KILL when the grace is over."""
        late = self._clock.seconds() - self._kill_at
        left = 0 if late >= 0 else len(self._ender.members(self._footprint))
        # whom one look does not see may be there all the same: what forks without pause hides from it
        if (left or self._ender.signal(self._footprint, KILL)) and late < UNKILLABLE_S:
            self._timer = self._clock.callLater(LOOK_S, self._look)
            return
        self.over = True
        self._gone()
