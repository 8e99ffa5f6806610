"""`deployer metrics`: which series there are, and what their numbers were."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import click

from deployer.cli.options import Common, common
from deployer.cli.output import document, line, names, rows
from deployer.cli.things import given
from deployer.cli.trend import trend
from deployer.client.records import Document

PATH: Final = "/api/v1/metrics"
FOUND_TITLES: Final = ("PATH", "WHAT")
TITLES: Final = ("NAME", "LAST", "MIN", "AVERAGE", "MAX", "TREND")
TO_THE_RIGHT: Final = ("LAST", "MIN", "AVERAGE", "MAX")
SPARE: Final = ("MIN", "AVERAGE", "MAX", "TREND")
GROUPS: Final = ("rack", "zone", "datacenter", "region", "role", "agent")
TREND_CHARS: Final = 30


@click.group("metrics")
def command() -> None:
    """Find series of numbers and show them."""


@command.command("find")
@click.argument("pattern", default="*")
@common
def find(told: Common, pattern: str) -> None:
    """List what fits a pattern, as 'agents.1.*.host.*'; its wildcards stay between two dots."""
    found = told.client().items(f"{PATH}/find", query=pattern)
    if told.ndjson:
        for one in found:
            line(one)
    elif told.json:
        document({"items": list(found)})
    elif told.quiet:
        names(str(one.get("path", "")) for one in found)
    else:
        rows(FOUND_TITLES, [(one.get("path", ""), _what(one)) for one in found])


@command.command("query")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option(
    "--from", "since", default="-1h", show_default=True, metavar="TIME", help="As -6h, or 2026-11-28T01:02:03Z."
)
@click.option("--to", "until", default="now", show_default=True, metavar="TIME", help="Until when.")
@click.option("--points", type=click.IntRange(1, 11_000), default=300, show_default=True, help="Of each, about.")
@click.option("--group-by", type=click.Choice(GROUPS), help="Put series of agents together by where their hosts stand.")
@click.option("--how", type=click.Choice(("average", "sum", "min", "max")), help="How they are put together.")
@common
def query(told: Common, targets: Sequence[str], since: str, until: str, **asked: Any) -> None:
    """Show series: paths with wildcards, or expressions as 'scale(agents.1.*.host.load.1, 2)'."""
    parameters = {"target": list(targets), "from": since, "to": until, **given(**asked)}
    answer = told.client().get(f"{PATH}?{urlencode(parameters, doseq=True)}")
    found: list[Document] = answer.get("items") or []
    if told.ndjson:
        for one in found:
            line(one)
    elif told.json:
        document(answer)
    elif told.quiet:
        names(str(one.get("name", "")) for one in found)
    else:
        rows(TITLES, [_row(one) for one in found], TO_THE_RIGHT, SPARE)


def _what(one: Document) -> str:
    return ", ".join(word for word, field in (("series", "series"), ("more below", "more")) if one.get(field))


def _row(one: Document) -> tuple[str, ...]:
    values = one.get("values") or []
    numbers = [value for value in values if isinstance(value, int | float)]
    if not numbers:
        return str(one.get("name", "")), "", "", "", "", ""
    figures = (numbers[-1], min(numbers), sum(numbers) / len(numbers), max(numbers))
    return str(one.get("name", "")), *(f"{figure:.6g}" for figure in figures), trend(values, TREND_CHARS)
