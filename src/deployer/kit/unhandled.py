"""Exceptions that nobody handled, as the log has them: counted, the last ones kept with their traceback."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

KEPT: Final = 100
MAX_TEXT: Final = 1000
MAX_TRACEBACK: Final = 8000


class Unhandled(Struct, frozen=True, kw_only=True):
    """One of them: epoch seconds, where in the program, what was logged, and the traceback (without any values)."""

    at: float
    place: str
    text: str
    kind: str
    traceback: str


class UnhandledLog:
    """Observes Twisted's log from `start` to `stop`."""

    def __init__(self) -> None:
        self.count = 0
        self._heard: Callable[[Unhandled], None] = lambda _: None

    def start(self, heard: Callable[[Unhandled], None]) -> None:
        """Begin; `heard` is told of each."""
        self._heard = heard
        globalLogPublisher.addObserver(self)  # type: ignore[arg-type]  # zope's interfaces are unknown to mypy

    def stop(self) -> None:
        """End; nothing happens when it has not begun."""
        globalLogPublisher.removeObserver(self)  # type: ignore[arg-type]  # as above

    def __call__(self, event: LogEvent) -> None:
        """Look at one event."""
        failure = event.get("log_failure")
        if not isinstance(failure, Failure) or event.get("log_level") is not LogLevel.critical:
            return
        self.count += 1
        seen = Unhandled(
            at=event.get("log_time", 0.0),
            place=str(event.get("log_namespace", ""))[:MAX_TEXT],
            text=(formatEvent({**event, "log_failure": None}) or "")[:MAX_TEXT],
            kind=failure.type.__name__ if failure.type is not None else "",
            traceback=_bounded(failure.getTraceback()),
        )
        self._heard(seen)


def _bounded(text: str) -> str:
    """The end of a long traceback says more than its beginning."""
    return text if len(text) <= MAX_TRACEBACK else "…" + text[-MAX_TRACEBACK:]
