"""`deployer events`."""

from collections.abc import Iterator
from itertools import islice

import click

from deployer.cli.options import Common, common
from deployer.cli.output import line, one_line
from deployer.cli.things import place, show_list
from deployer.client.records import Document

TITLES = ("ID", "TIME", "TYPE", "SUBJECT", "STATE")
NEWEST = 50
FIELDS = ("id", "at", "type", "subject", "state")


@click.command("events")
@click.option("--follow", "-f", is_flag=True, help="Stay, and show what happens from now on.")
@click.option(
    "--type", "types", multiple=True, metavar="T", help="Only of this type, as job, or task.state; repeatable."
)
@click.option("--from", "since", metavar="TIME", help="From then on, as 2026-11-23T00:00:00Z.")
@click.option("--to", "until", metavar="TIME", help="Before then.")
@click.option("--after", metavar="ID", default="", help="With --follow: behind this event.")
@click.option(
    "--limit", type=click.IntRange(1), help="How many of the newest (50); with --follow: so many and no more."
)
@common
def command(
    told: Common,
    *,
    follow: bool,
    types: tuple[str, ...],
    since: str | None,
    until: str | None,
    after: str,
    limit: int | None,
) -> None:
    """Show what happens to jobs, tasks, agents and the rest.

    The newest are shown, in the order in which they came; with --from all from then on.
    """
    client = told.client()
    if not follow:
        query = {"type": ",".join(types) or None, "from": since, "to": until, "sort": "-id"}
        newest = list(client.items(place("events"), limit or (None if since else NEWEST), **query))
        show_list(told, TITLES, newest[::-1], FIELDS)
        return
    if since or until:
        raise click.UsageError("--follow begins now, or behind --after")
    _watch(told, islice(client.events(*types, after=after), limit))


def _watch(told: Common, found: Iterator[Document]) -> None:
    for one in found:
        if told.json or told.ndjson:
            line(one)
        else:
            click.echo("  ".join(_shown(one, field) for field in FIELDS[1:]))


def _shown(event: Document, field: str) -> str:
    return one_line(str(event.get(field) or ""))
