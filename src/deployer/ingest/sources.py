"""Who sends to one listener: each address with its company, and how much it has sent in this second.

Bounded: the addresses past the limit share one allowance for each company until others have been silent for a second.
"""

from collections.abc import Callable
from typing import Final

from deployer.ingest.tenants import parsed

MOST: Final = 10_000
PERIOD_S: Final = 1.0


class Source:
    """One sender. `ends`: of its present second; `spent`: what it sent in it."""

    __slots__ = ("address", "company", "ends", "spent")

    def __init__(self, address: str, company: str) -> None:
        self.address = address
        self.company = company
        self.ends = 0.0
        self.spent = 0


class Sources:
    """The senders of a listener; `most`: how many are told apart, `per_s`: how much each may send in a second."""

    def __init__(self, company: Callable[[str], str], per_s: int, most: int = MOST) -> None:
        self._company = company
        self._per_s = per_s
        self._most = most
        self._known: dict[str, Source] = {}
        self._rest: dict[str, Source] = {}
        self._swept = 0.0

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, address: str, now: float, count: int = 1) -> Source | None:
        """Count so many of an address in; None when they are too many. `now`: seconds of a clock that never steps."""
        source = self._known.get(address)
        if source is None:
            return self._admit_new(address, now, count)
        if now >= source.ends:
            source.ends, source.spent = now + PERIOD_S, 0
        source.spent += count
        return source if source.spent <= self._per_s else None

    def _admit_new(self, address: str, now: float, count: int) -> Source | None:
        company = self._company(address)
        made = Source(str(parsed(address)), company)
        if len(self._known) >= self._most and now >= self._swept:
            self._swept = now + PERIOD_S
            self._known = {name: source for name, source in self._known.items() if source.ends > now}
        if len(self._known) < self._most:
            self._known[address] = made
            return self.admit(address, now, count)
        shared = self._rest.setdefault(company, made)
        if now >= shared.ends:
            shared.ends, shared.spent = now + PERIOD_S, 0
        shared.spent += count
        return made if shared.spent <= self._per_s else None
