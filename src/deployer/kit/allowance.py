"""So many attempts in a time for each key: counted in bounded memory."""

from typing import Final

from msgspec import Struct

from deployer.kit.clock import Clock

MOST_KEYS: Final = 10_000
SWEEP_S: Final = 1.0
_REST: Final = ""


class _Window(Struct):
    ends: float
    spent: int = 0


class Allowance:
    """`count` attempts in `period_s` seconds from a key's first one.

    Past `most` keys the new ones share one allowance, until the windows of others have ended.
    """

    def __init__(self, count: int, period_s: float, clock: Clock, most: int = MOST_KEYS) -> None:
        self._count = count
        self._period_s = period_s
        self._clock = clock
        self._most = most
        self._windows: dict[str, _Window] = {}
        self._swept = 0.0

    def __len__(self) -> int:
        return len(self._windows)

    def wait_s(self, key: str) -> float:
        """In how many seconds the key may be used again; 0: now."""
        window = self._windows.get(self._place(key))
        if window is None or window.spent < self._count:
            return 0.0
        return max(0.0, window.ends - self._clock.seconds())

    def spend(self, key: str, count: int = 1) -> bool:
        """Count an attempt, or several at once; False when these are too many."""
        now = self._clock.seconds()
        place = self._place(key)
        window = self._windows.get(place)
        if window is None or window.ends <= now:
            window = self._windows[place] = _Window(now + self._period_s)
        window.spent += count
        return window.spent <= self._count

    def _place(self, key: str) -> str:
        """Where a key is counted."""
        if key in self._windows or len(self._windows) < self._most:
            return key
        now = self._clock.seconds()
        if now >= self._swept + SWEEP_S:
            self._swept = now
            self._windows = {name: window for name, window in self._windows.items() if window.ends > now}
        return key if len(self._windows) < self._most else _REST
