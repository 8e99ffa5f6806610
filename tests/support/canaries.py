"""Nothing that opens anything is in a log, whatever a test does (RELIABILITY D7)."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogPublisher
from zope.interface import implementer

LEAK: Final = re.compile(r"dp[lj]_[0-9a-f]{16}_[0-9a-f]{64}|CANARY-[A-Za-z0-9-]*")
"""A token of a user or for joining, and whatever a test has made to be looked for."""


@implementer(ILogObserver)
class Canaries:
    """Reads what is logged, tracebacks too."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        """Observe one event."""
        text = eventAsText(event, includeTimestamp=False)
        if LEAK.search(text):
            self.found.append(text[:500])


@contextmanager
def listening() -> Iterator[None]:
    """AssertionError at the end when a secret was logged meanwhile."""
    canaries = Canaries()
    globalLogPublisher.addObserver(canaries)  # type: ignore[arg-type]  # zope's interfaces are unknown to mypy
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(canaries)  # type: ignore[arg-type]  # as above
    assert not canaries.found, f"a secret was logged: {canaries.found[0]}"


def require_silence(logs: Iterable[Path]) -> None:
    """AssertionError when a secret is in one of these files."""
    for log in logs:
        found = LEAK.search(log.read_text("utf-8", "replace"))
        assert found is None, f"{found[0][:12]}… is in {log.name}"
