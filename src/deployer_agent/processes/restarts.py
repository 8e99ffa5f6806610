"""When is a process started again, and how soon? (seed 001, DESIGN 4). Pure: what happened in, what follows out."""

from typing import Final

from msgspec import Struct

EARLY_S: Final = 300.0
"""A run that ends sooner counts against `max_restart`."""

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 60.0


class Terms(Struct, frozen=True, kw_only=True):
    """What was asked for. `restarts`: how many early ends are made good; `period_s` 0: not recurring."""

    long_running: bool = False
    period_s: float = 0
    restarts: int = 0


class RunEnd(Struct, frozen=True, kw_only=True):
    """How one run ended. `asked`: on demand (killall), which is nobody's failure."""

    failed: bool
    asked: bool
    took_s: float


class Again(Struct, frozen=True):
    """It is started again after `delay_s` (None: at its period); `early` ends were counted so far."""

    early: int
    delay_s: float | None


class Over(Struct, frozen=True):
    """It is not started again. `given_up`: because it has ended early too often."""

    given_up: bool = False


def after(terms: Terms, end: RunEnd, early: int) -> Again | Over:
    """Decide what follows a run; `early` is how many ends in a row were early."""
    if terms.period_s:
        return Again(0, None)
    if end.asked:
        return Again(early, FIRST_DELAY_S) if terms.long_running else Over()
    if not end.failed and not terms.long_running:
        return Over()
    if not terms.restarts and not terms.long_running:
        return Over()
    count = early + 1 if end.took_s < EARLY_S else 0
    return Over(given_up=True) if count > terms.restarts else Again(count, delay(count))


def delay(early: int) -> float:
    """How long to wait in seconds: 1 after the first early end, twice as long after each further one, at most 60."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(30, max(0, early - 1)))


class Due(Struct, frozen=True):
    """When the next run of a recurring task is due (epoch ms), and how many were missed before it."""

    at: int
    missed: int


def next_due(last_due: int, period_s: float, now: int) -> Due:
    """The next time on the task's own grid after `now`; what lies between was missed, and is not made up for."""
    period = int(period_s * 1000)
    passed = max(0, now - last_due) // period
    return Due(last_due + (passed + 1) * period, passed)
