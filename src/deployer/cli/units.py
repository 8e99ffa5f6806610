"""Numbers as people read them, and as programs do; what is missing is empty."""

from typing import Final

_SIZES: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024
_LONG: Final = 99.5
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def exact(value: float | None) -> str:
    """The number alone, whole when it is, else to 0.01."""
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else f"{value:.2f}"


def count(value: float | None) -> str:
    """How many."""
    return "" if value is None else f"{value:.0f}"


def tenth(value: float | None) -> str:
    """A share or a load, to 0.1."""
    return "" if value is None else f"{value:.1f}"


def size(value: float | None) -> str:
    """Bytes: `512 B`, `1.5 KiB`, `320 MiB`."""
    if value is None:
        return ""
    if value < _STEP:
        return f"{value:.0f} B"
    for unit in _SIZES:
        value /= _STEP
        if value < _STEP or unit == _SIZES[-1]:
            break
    return f"{value:.0f} {unit}" if value >= _LONG else f"{value:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """`5s`, `3m`, `2h`, `4d`; never less than 0."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0)
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= unit:
            return f"{int(seconds // unit)}{name}"
    return f"{int(seconds)}s"
