"""Waiting for real programs: a condition polled with a deadline, never a fixed sleep."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_tick = threading.Event()  # never set: its wait is a pause that no signal of the test ends early


def until(condition: Callable[[], T], *, what: str, deadline_s: float = 60.0, every_s: float = 0.05) -> T:
    """Return the condition's first true value; AssertionError naming `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        _tick.wait(every_s)
