"""Numbers as other programs write them in their lines. Pure."""

from math import isfinite
from typing import Final

MAX_NUMBER_CHARS: Final = 32


def decimal(text: str) -> float | None:
    """None for what is no finite number. float() also knows `1_000`, the digits of all scripts, `inf` and `nan`."""
    if len(text) > MAX_NUMBER_CHARS or "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
