"""Numbers as a line of blocks, low ones and high ones, in as many characters as there is room for."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

BLOCKS: Final = "▁▂▃▄▅▆▇█"
NOTHING: Final = " "


def trend(values: Sequence[float | None], chars: int, span: tuple[float, float] | None = None) -> str:
    """The averages of as many parts as there are characters, between the smallest and the largest; blank for none.

    `span`: the least and the most that there can be, where these are to be the ends of the scale.
    """
    parts = min(chars, len(values))
    cuts = [len(values) * part // parts for part in range(parts + 1)] if parts else []
    means = [_mean(values[begin:end]) for begin, end in pairwise(cuts)]
    there = [mean for mean in means if mean is not None]
    least, most = span or (min(there, default=0.0), max(there, default=0.0))
    return "".join(NOTHING if mean is None else _block(mean, least, most) for mean in means)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _block(value: float, least: float, most: float) -> str:
    share = (value - least) / (most - least) if most > least else 0.0
    return BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))]
