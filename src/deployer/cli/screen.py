"""`deployer top` on a terminal: an alternate screen that is painted anew with each look, and left as it was found."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployer.cli import usage
from deployer.cli.output import one_line
from deployer.cli.tables import fitted
from deployer.cli.top import heading
from deployer.cli.watch import View

_AROUND: Final = 6
"""Lines that are neither hosts nor processes: the heading, two titles, two blanks, one of what is left out."""
_FEWEST: Final = 3


@contextmanager
def screen(sort: str) -> Iterator[Callable[[View], None]]:
    """Paints views until the end of the block."""
    console = Console()
    with Live(Text("…"), console=console, screen=True, auto_refresh=False) as live:
        yield lambda view: live.update(painted(view, sort, time.time(), console.size), refresh=True)


def painted(view: View, sort: str, now: float, size: ConsoleDimensions) -> Group:
    """A view in so many lines and columns: hosts take at most half of the lines when there are many processes."""
    hosts = [usage.host_row(one, now) for one in usage.sorted_hosts(view.hosts, sort)]
    processes = [usage.process_row(one) for one in usage.sorted_processes(view.processes, sort)]
    room = max(size.height - _AROUND, 2 * _FEWEST)
    upper = min(len(hosts), max(room // 2, room - len(processes)))
    lower = min(len(processes), room - upper)
    left = {"hosts": len(hosts) - upper, "processes": len(processes) - lower}
    head = Text(heading(view, now), style="bold red" if view.trouble is not None else "bold", no_wrap=True)
    return Group(
        head,
        Text(),
        _table(usage.HOST_TITLES, hosts[:upper], size.width, usage.HOST_SPARE),
        Text(),
        _table(usage.PROCESS_TITLES, processes[:lower], size.width, usage.PROCESS_SPARE),
        Text(", ".join(f"{count} more {what}" for what, count in left.items() if count), style="dim"),
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int, spare: Sequence[str]) -> Table:
    lines = [[one_line(cell) for cell in row] for row in rows]
    return fitted(titles, lines, width, usage.TO_THE_RIGHT, spare)
