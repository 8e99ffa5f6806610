"""Points that meet in one slot of a series become one: a second one is merged, not put over it (DESIGN 8). Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from deployer.model.series import Datum
from deployer.protocol.stats import How

KEPT: Final = 4
"""The newest slots of a series that are remembered: what comes later than that stands alone."""

Rows = dict[str, list[tuple[int, float]]]
"""What is to be written: series, and of each the beginnings of slots with their values, in order."""


class _Slot(Struct):
    """What has come for one slot: `value` is the sum of an average."""

    value: float
    count: int


class Slots:
    """Of all series of one company. `step_of(series)`: seconds; `how_of(series, how)`: how its values are merged."""

    def __init__(self, step_of: Callable[[str], int], how_of: Callable[[str, How], How]) -> None:
        self._step_of = step_of
        self._how_of = how_of
        self._kept: dict[str, dict[int, _Slot]] = {}

    def take(self, data: Iterable[Datum]) -> Rows:
        """Merge what has come into what was there; the slots that have changed, each with its new value."""
        changed: dict[str, dict[int, float]] = {}
        for one in data:
            step = self._step_of(one.series)
            at = one.at - one.at % step
            changed.setdefault(one.series, {})[at] = self._merge(one, at)
        return {series: sorted(slots.items()) for series, slots in changed.items()}

    def _merge(self, one: Datum, at: int) -> float:
        how = self._how_of(one.series, one.how)
        slots = self._kept.setdefault(one.series, {})
        slot = slots.get(at)
        if slot is None:
            slots[at] = _Slot(one.value, 1)
            if len(slots) > KEPT:
                del slots[min(slots)]
            return one.value
        slot.count += 1
        slot.value = _together(how, slot.value, one.value)
        return slot.value / slot.count if how == "average" else slot.value

    def unknown(self, data: Iterable[Datum], since: int, until: int) -> dict[int, list[str]]:
        """Slots between two times that nothing is remembered of, and which series have something for them."""
        found: dict[int, dict[str, None]] = {}
        for one in data:
            at = one.at - one.at % self._step_of(one.series)
            if since <= at <= until and at not in self._kept.get(one.series, ()):
                found.setdefault(at, {})[one.series] = None
        return {at: list(series) for at, series in found.items()}

    def remember(self, series: str, at: int, value: float) -> None:
        """What is stored for a slot, of which nothing is remembered: of an average it counts as one value."""
        self._kept.setdefault(series, {})[at] = _Slot(value, 1)

    def forget(self, series: Iterable[str]) -> None:
        """These are not kept any more."""
        for one in series:
            self._kept.pop(one, None)


def _together(how: How, old: float, new: float) -> float:
    if how in {"sum", "average"}:
        return old + new
    if how == "last":
        return new
    return min(old, new) if how == "min" else max(old, new)


def coarser(values: list[float | None], times: int, how: How) -> list[float | None]:
    """Every `times` values as one: None where none of them is known."""
    if times <= 1:
        return values
    return [as_one(how, values[at : at + times]) for at in range(0, len(values), times)]


def as_one(how: How, values: Sequence[float | None]) -> float | None:
    """What several values are together; None when none of them is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if how == "sum":
        return sum(known)
    if how == "average":
        return sum(known) / len(known)
    if how == "last":
        return known[-1]
    return min(known) if how == "min" else max(known)


def parts(rows: Rows, most: int) -> Iterator[Rows]:
    """The same in parts of at most so many series."""
    names = list(rows)
    for first in range(0, len(names), most):
        yield {name: rows[name] for name in names[first : first + most]}
