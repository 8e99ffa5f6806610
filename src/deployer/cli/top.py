"""`deployer top`."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from importlib import import_module
from itertools import count
from typing import Final

import click

from deployer.cli import exits, usage
from deployer.cli.options import Common, common
from deployer.cli.output import one_line
from deployer.cli.units import duration
from deployer.cli.watch import View, Watch
from deployer.client.transport import pause

Show = Callable[[View], None]
TERMINATED: Final = 143


@click.command("top")
@click.option(
    "--interval", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, metavar="S", help="Seconds between."
)
@click.option("--sort", type=click.Choice(usage.SORTS), default="cpu", show_default=True, help="What comes first.")
@click.option("-n", "rounds", type=click.IntRange(1), metavar="N", help="Look N times, then end.")
@common
def command(told: Common, interval: float, sort: str, rounds: int | None) -> None:
    """Watch what hosts and processes consume.

    Ctrl-C ends it. Not on a terminal it prints tables, one after the other; with --json a line of JSON for each look.
    The numbers are new every 30 s or so: AGE says how old they are.
    """
    watch = Watch(told.client())
    view = View()
    try:
        with _ending_in_order(), _shown(told, sort) as show:
            for number in count(1):
                view = watch.look()
                show(view)
                if number == rounds:
                    break
                pause(interval)
    except KeyboardInterrupt:
        return
    if view.trouble is not None:
        click.get_current_context().exit(exits.of_error(view.trouble))


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM leaves the terminal as it was, too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _shown(told: Common, sort: str) -> AbstractContextManager[Show]:
    if told.json:
        return _documents()
    if sys.stdout.isatty():
        screen: Callable[[str], AbstractContextManager[Show]] = import_module("deployer.cli.screen").screen
        return screen(sort)  # rich takes 50 ms to import
    return _tables(sort)


@contextmanager
def _documents() -> Iterator[Show]:
    def show(view: View) -> None:
        hosts = [
            {"agent": one.agent.document, "stats": None if one.stats is None else one.stats.document}
            for one in view.hosts
        ]
        found = {"hosts": hosts, "processes": [one.document for one in view.processes]}
        trouble = None if view.trouble is None else str(view.trouble)
        click.echo(json.dumps({**found, "trouble": trouble}, ensure_ascii=False))

    yield show


@contextmanager
def _tables(sort: str) -> Iterator[Show]:
    def show(view: View) -> None:
        now = time.time()
        hosts = [usage.host_row(one, now) for one in usage.sorted_hosts(view.hosts, sort)]
        processes = [usage.process_row(one) for one in usage.sorted_processes(view.processes, sort)]
        lines = [heading(view, now), "", *aligned(usage.HOST_TITLES, hosts), ""]
        click.echo("\n".join([*lines, *aligned(usage.PROCESS_TITLES, processes), ""]))

    yield show


def heading(view: View, now: float) -> str:
    """One line: how much is seen, how old it is, what is in the way."""
    if view.trouble is not None:
        since = "nothing was seen yet" if not view.at else f"what was seen {duration(now - view.at)} ago"
        return one_line(f"{view.trouble}; {since}")
    more = " (and more)" if view.cut else ""
    at = datetime.fromtimestamp(view.at).astimezone()
    return f"{at:%H:%M:%S}  {len(view.hosts)} hosts, {len(view.processes)} processes{more}"


def aligned(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of plain text; numbers to the right."""
    cells = [list(titles), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    right = [title in usage.TO_THE_RIGHT for title in titles]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
