"""Tables for a terminal."""

from collections.abc import Collection, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

COLOURS = {"online": "green", "OK": "green", "offline": "red", "ERROR": "red", "overdue": "yellow", "TIMEOUT": "yellow"}


def show(titles: Sequence[str], lines: Iterable[Sequence[str]], right: Collection[str] = ()) -> None:
    """Print a table; NO_COLOR is honoured."""
    columns = (Column(title, justify="right" if title in right else "left") for title in titles)
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        table.add_row(*(Text(value, style=COLOURS.get(value, "")) for value in line))
    Console().print(table)
