"""Tables in few columns of a terminal: texts are cut, numbers never: a column of these is left out as a whole. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = 2
LEAST: Final = 8
"""No text is cut below this."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Which columns are shown, and how wide each is."""

    columns: Sequence[int]
    widths: Sequence[int]


def fit(cells: Sequence[Sequence[str]], width: int, numbers: Collection[str], spare: Sequence[str]) -> Shown:
    """The columns that find room. The first row of `cells` are the titles; `spare`: what goes first comes first."""
    titles = cells[0]
    natural = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    least = [
        size if title in numbers else min(size, max(LEAST, len(title)))
        for title, size in zip(titles, natural, strict=True)
    ]
    columns = list(range(len(titles)))
    for title in spare:
        if _total(columns, least) <= width:
            break
        columns.remove(titles.index(title))
    widths = [natural[column] for column in columns]
    over = _total(columns, natural) - width
    while over > 0:
        room = [wide - least[column] for wide, column in zip(widths, columns, strict=True)]
        if max(room) == 0:
            break
        widest = max((wide, place) for place, wide in enumerate(widths) if room[place])[1]
        widths[widest] -= 1
        over -= 1
    return Shown(columns, widths)


def _total(columns: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[column] for column in columns) + GAP * (len(columns) - 1)
