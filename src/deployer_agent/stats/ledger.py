"""The sums of what processes consume: only growing, nothing counted twice. Pure.

A process counts with what has been added since it was last seen, one that is new with all that it has used. What ended
keeps its part in the sum, since that was added while it lived. The rest comes from the parent: when a process waits
for a child, the kernel adds what the child had used, its own and what it had waited for, to the parent's counters of
children (cutime and cstime of /proc/PID/stat) and to its /proc/PID/io. Of that growth the part that was seen of the
child before must not count again. The rule:

* A process that is not there any more leaves to its nearest living ancestor that is counted a debt: all that was last
  seen of it, and its own debts.
* The ancestor pays from what its counter of children's processor time, and its io, have grown by: that much of the
  growth is not added. It never pays more than it has grown by, so sums never fall.
* An ancestor whose count of children's page faults (cminflt) stands still has waited for nobody and pays nothing: it
  ignores SIGCHLD (the kernel then adds nothing to it), or it was read just before its child ended.
* For the second of these cases a debt that is left waits for the next sample, and not longer.

This asks that parents are read before their children. It errs to the low side, by at most what was last seen of the
child: when a child ends unwaited-for whose parent waits for others, its debt is paid from theirs.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from deployer_agent.stats.source import Sighting

Amounts = tuple[int, int, int]
"""Milliseconds of processor time, bytes read, bytes written."""

NOTHING: Final[Amounts] = (0, 0, 0)


class Ledger:
    """Keeps what was last seen of each process, and the debts."""

    def __init__(self) -> None:
        self._last: dict[int, Sighting] = {}
        self._owed: dict[int, Amounts] = {}

    def known(self, keys: Mapping[str, object]) -> dict[int, Sighting]:
        """The processes last seen of these keys, by pid."""
        return {pid: one for pid, one in self._last.items() if one.key in keys}

    def book(self, seen: Iterable[Sighting], unreadable: AbstractSet[int] = frozenset()) -> dict[str, Amounts]:
        """What each key's sum grows by; those `unreadable` stay as they were seen last."""
        now = {pid: self._last[pid] for pid in unreadable if pid in self._last}
        now.update({one.pid: one for one in seen})
        lost, owed = self._lost(now), self._owed
        grown: dict[str, Amounts] = {}
        self._owed = {}
        for pid, one in now.items():
            before = self._before(one)
            one = now[pid] = one if before is None else _lifted(before, one)  # noqa: PLW2901 (what is kept)
            waits = lost.get(pid, NOTHING), owed.get(pid, NOTHING) if before is not None else NOTHING
            if one is before:
                self._owe(pid, plus(*waits))
                continue
            added, left = booked(before, one, *waits)
            grown[one.key] = plus(grown.get(one.key, NOTHING), added)
            self._owe(pid, left)
        self._last = now
        return grown

    def _owe(self, pid: int, amounts: Amounts) -> None:
        if amounts != NOTHING:
            self._owed[pid] = amounts

    def _before(self, one: Sighting) -> Sighting | None:
        last = self._last.get(one.pid)
        return last if last is not None and last.start == one.start else None

    def _lost(self, now: Mapping[int, Sighting]) -> dict[int, Amounts]:
        """The new debts, by the pid of who has them."""
        debts: dict[int, Amounts] = {}
        for pid, last in self._last.items():
            if _same(last, now) or (heir := self._heir(last, now)) is None:
                continue
            debt = plus(_all_of(last), self._owed.get(pid, NOTHING))
            debts[heir] = plus(debts.get(heir, NOTHING), debt)
        return debts

    def _heir(self, lost: Sighting, now: Mapping[int, Sighting]) -> int | None:
        tried = {lost.pid}
        parent = self._last.get(lost.parent)
        while parent is not None and parent.pid not in tried:
            if _same(parent, now):
                return parent.pid
            tried.add(parent.pid)
            parent = self._last.get(parent.parent)
        return None


def booked(before: Sighting | None, after: Sighting, lost: Amounts, owed: Amounts) -> tuple[Amounts, Amounts]:
    """What one process adds to its key, and the debt that it keeps. `lost`: the new debt, `owed`: that of last time."""
    if before is None:
        before = Sighting(after.pid, after.parent, after.start, after.key)
    own, waited = after.cpu_ms - before.cpu_ms, after.waited_ms - before.waited_ms
    read, written = after.read_bytes - before.read_bytes, after.write_bytes - before.write_bytes
    if after.faults == before.faults:
        return (own + waited, read, written), lost
    debt = plus(lost, owed)
    paid = _least(debt, (waited, read, written))
    return _minus((own + waited, read, written), paid), _least(lost, _minus(debt, paid))


def plus(one: Amounts, other: Amounts) -> Amounts:
    """Both together."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _minus(one: Amounts, other: Amounts) -> Amounts:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


def _least(one: Amounts, other: Amounts) -> Amounts:
    return min(one[0], other[0]), min(one[1], other[1]), min(one[2], other[2])


def _all_of(one: Sighting) -> Amounts:
    return one.cpu_ms + one.waited_ms, one.read_bytes, one.write_bytes


def _same(one: Sighting, now: Mapping[int, Sighting]) -> bool:
    found = now.get(one.pid)
    return found is not None and found.start == one.start


def _lifted(before: Sighting, after: Sighting) -> Sighting:
    """The later one, with no counter below what it was: io that cannot be read for once is not counted anew after."""
    if (
        after.cpu_ms >= before.cpu_ms
        and after.waited_ms >= before.waited_ms
        and after.faults >= before.faults
        and after.read_bytes >= before.read_bytes
        and after.write_bytes >= before.write_bytes
    ):
        return after
    names = ("cpu_ms", "waited_ms", "faults", "read_bytes", "write_bytes")
    return msgspec.structs.replace(after, **{name: max(getattr(before, name), getattr(after, name)) for name in names})
