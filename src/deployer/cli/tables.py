"""Tables for a terminal."""

from collections.abc import Collection, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Column, Table
from rich.text import Text

from deployer.cli.fit import GAP, fit

COLOURS = {"online": "green", "OK": "green", "offline": "red", "ERROR": "red", "overdue": "yellow", "TIMEOUT": "yellow"}


def show(
    titles: Sequence[str], lines: Iterable[Sequence[str]], right: Collection[str] = (), spare: Sequence[str] = ()
) -> None:
    """Print a table; NO_COLOR is honoured. A narrow terminal does without the columns `spare`, the first first.

    The first column is not cut: it is what the thing is called, for the next command.
    """
    console = Console()
    if spare:
        console.print(fitted(titles, list(lines), console.width, right, spare))
        return
    columns = (
        Column(title, justify="right" if title in right else "left", no_wrap=title == titles[0]) for title in titles
    )
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        table.add_row(*map(_coloured, line))
    console.print(table)


def fitted(
    titles: Sequence[str], lines: Sequence[Sequence[str]], width: int, right: Collection[str], spare: Sequence[str]
) -> Table:
    """A table of so many columns of the terminal, each line in one of its own."""
    shown = fit([titles, *lines], width, {*right, titles[0]}, spare)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column, wide in zip(shown.columns, shown.widths, strict=True):
        justify: JustifyMethod = "right" if titles[column] in right else "left"
        table.add_column(titles[column], justify=justify, no_wrap=True, overflow="ellipsis", width=wide)
    for line in lines:
        table.add_row(*(_coloured(line[column]) for column in shown.columns))
    return table


def _coloured(value: str) -> Text:
    return Text(value, style=COLOURS.get(value, ""))
