"""What counters grow by in a second. A counter that goes backwards tells nothing of its interval. Pure."""

from collections.abc import Mapping, Sequence

Counters = Mapping[str, Sequence[int]]
"""Some counters of each of several things, by name."""


def growth(before: Counters, after: Counters) -> dict[str, list[int]]:
    """By how much each thing's counters have grown.

    A thing that is new is left out, and so is one of which any counter is lower than it was: it has wrapped round or
    has been made anew, and the others of it say nothing either.
    """
    grown = {}
    for name, now in after.items():
        was = before.get(name, ())
        steps = [new - old for new, old in zip(now, was, strict=False)]
        if len(was) == len(now) and min(steps, default=0) >= 0:
            grown[name] = steps
    return grown


class Rates:
    """Counters of one kind, from sample to sample; those that are not told any more are forgotten."""

    def __init__(self) -> None:
        self._before: Counters = {}
        self._at: float | None = None

    def grown(self, counters: Counters) -> dict[str, list[int]]:
        """By how much they have grown since they were told last."""
        before, self._before = self._before, counters
        return growth(before, counters)

    def per_second(self, counters: Counters, now: float) -> dict[str, list[float]]:
        """The same for one second; nothing when no time has passed."""
        passed = now - self._at if self._at is not None else 0.0
        grown, self._at = self.grown(counters), now
        return {name: [step / passed for step in steps] for name, steps in grown.items()} if passed > 0 else {}
