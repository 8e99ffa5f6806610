"""How many messages of each level have come: exact, however thin the logs become (DESIGN 8). Pure.

`agents.<gid>.<nid>.messages.<level>` are those of an agent, `logs.syslog.<level>` those of syslog.
"""

from collections import defaultdict
from typing import Final

from deployer.model.series import Datum

SYSLOG: Final = "logs.syslog"
MOST: Final = 100_000
"""Counts held between two times at which they are taken out; what is more is counted in `over`."""


class LevelCounts:
    """Counts until they are taken out."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self.over = 0

    def add(self, company: str, front: str, level: int, count: int = 1) -> None:
        """So many more of a level; `front`: what the series begins with."""
        key = (company, f"{front}.{level}")
        known = self._counts.get(key)
        if known is None and len(self._counts) >= MOST:
            self.over += count
            return
        self._counts[key] = (known or 0) + count

    def add_of_agent(self, company: str, agent: str, level: int, count: int = 1) -> None:
        """So many more of an agent, `gid:nid`."""
        self.add(company, f"agents.{agent.replace(':', '.')}.messages", level, count)

    def take(self, at: int) -> dict[str, list[Datum]]:
        """What has come since it was last asked, by company; `at`: epoch seconds of the slot it counts for."""
        taken: defaultdict[str, list[Datum]] = defaultdict(list)
        for (company, series), count in self._counts.items():
            taken[company].append(Datum(series, at, float(count), "sum"))
        self._counts.clear()
        return dict(taken)
