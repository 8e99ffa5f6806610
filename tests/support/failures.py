"""A logged failure or an unhandled Deferred is a failure of the test (plain pytest lets both pass)."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer


@implementer(ILogObserver)
class LoggedFailures:
    """What was logged at level critical, or with a failure, while the test ran."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Observe one event."""
        if "log_failure" in event or event.get("log_level") is LogLevel.critical:
            self.events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[LogEvent]:
        """Take out what the test expects: failures of these kinds (all, when none is named)."""
        gc.collect()
        taken = [e for e in self.events if "log_failure" in e and (not kinds or e["log_failure"].check(*kinds))]
        self.events = [e for e in self.events if e not in taken and not (taken and _is_heading(e))]
        return taken

    def describe(self) -> str:
        """What is left, in words."""
        return "\n".join(_describe(event) for event in self.events)


def _is_heading(event: LogEvent) -> bool:
    """Twisted logs `Unhandled error in Deferred:` as an event of its own before the failure."""
    return "log_failure" not in event and "Unhandled error in Deferred" in (formatEvent(event) or "")


def _describe(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return (formatEvent(event) or "") + ("\n" + failure.getTraceback() if failure is not None else "")


@contextmanager
def watch() -> Iterator[LoggedFailures]:
    """Observe Twisted's log; AssertionError at the end when something is left in it."""
    seen = LoggedFailures()
    globalLogPublisher.addObserver(seen)  # type: ignore[arg-type]  # zope's interfaces are unknown to mypy
    try:
        yield seen
        gc.collect()  # a Deferred tells of its unhandled failure when it is collected
    finally:
        globalLogPublisher.removeObserver(seen)  # type: ignore[arg-type]  # as above
    if seen.events:
        raise AssertionError(f"failures were logged:\n{seen.describe()}")
