"""What lies damaged in Redis (RELIABILITY D3): counted, and said once for each thing, whoever meets it."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from twisted.logger import Logger

from deployer.protocol import codes
from deployer.protocol.results import Result

T = TypeVar("T")

REMEMBERED: Final = 1000
"""So many things are not said again; past that all are forgotten and said once more."""

CORRUPT_RESULT: Final = Result(id="corrupt", state="ERROR", code=codes.CORRUPT, reason="its record in Redis is damaged")


class Damage:
    """Counts records that were `met` damaged, each time, and tasks that `ended` of it."""

    log = Logger()

    def __init__(self) -> None:
        self.met = 0
        self.ended = 0
        self._said: set[str] = set()

    def found(self, what: str) -> None:
        """A record cannot be read."""
        self.met += 1
        if what in self._said:
            return
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said.add(what)
        self.log.error("ALERT: a record in Redis is damaged: {what}", what=what[:300])

    def read(self, what: str, decode: Callable[[bytes], T], raw: bytes | None) -> T | None:
        """Decode a value; None for none, and for one that is damaged."""
        if raw is None:
            return None
        try:
            return decode(raw)
        except (ValueError, RecursionError):  # not UTF-8, not JSON, not of this form
            self.found(what)
            return None

    def tasks_ended(self, company: str, names: Iterable[bytes]) -> None:
        """Scripts have ended tasks, `<task>@<agent>`, whose records they could not read."""
        for raw in names:
            self.ended += 1
            self.log.error(
                "ALERT: the record of task {task} in Redis is damaged: it ends as CORRUPT",
                task=raw.decode("utf-8", "replace")[:300],
                company=company,
            )
