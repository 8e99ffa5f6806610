"""What an agent's host and processes consume now: the last slot of each, of what arrived in order. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from deployer.protocol.stats import Flush

MAX_VALUES: Final = 5000
"""Numbers kept of one agent."""
KEEP_S: Final = 300
"""So long after its next slot was due a process is still shown."""


class Row(Struct, array_like=True):
    """The numbers of one domain and name in one slot; those of the host have neither. `at`: epoch seconds."""

    domain: str
    name: str
    at: int
    step: int
    values: dict[str, float]

    @property
    def is_host(self) -> bool:
        """Whether these are the host's own."""
        return not self.domain and not self.name


class Updated(Struct, frozen=True):
    """All rows by domain and name, and how many numbers found no room."""

    rows: Sequence[Row]
    over: int


def updated(rows: Sequence[Row], flushes: Iterable[Flush]) -> Updated:
    """Rows after these flushes.

    A flush of another slot replaces what it has numbers for, one of the same slot adds to it. What arrives later
    counts, whatever it says of its time: an agent's clock may step. Rows far from the last flush are those of
    processes that ended.
    """
    found = {(row.domain, row.name): row for row in rows}
    room, over, last = MAX_VALUES - sum(len(row.values) for row in rows), 0, 0
    for flush in flushes:
        last = flush.at
        for point in flush.points:
            row = found.get((point.domain, point.name))
            if row is None or row.at != flush.at or row.step != flush.step:
                room += 0 if row is None else len(row.values)
                row = Row(point.domain, point.name, flush.at, flush.step, {})
                found[point.domain, point.name] = row
            if point.key not in row.values:
                if room <= 0:
                    over += 1
                    continue
                room -= 1
            row.values[point.key] = point.value
    return Updated([found[key] for key in sorted(found) if found[key].values and _lives(found[key], last)], over)


def _lives(row: Row, last: int) -> bool:
    return abs(last - row.at) <= 2 * row.step + KEEP_S


def kept_s(rows: Iterable[Row]) -> int:
    """Seconds for which rows are worth keeping without news."""
    return max((2 * row.step for row in rows), default=0) + KEEP_S
