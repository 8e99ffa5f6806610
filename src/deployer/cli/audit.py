"""`deployer audit`."""

from typing import Any

import click

from deployer.cli import exits
from deployer.cli.options import Common, common
from deployer.cli.output import document, say
from deployer.cli.things import place, show_list

TITLES = ("N", "TIME", "USER", "ADDRESS", "ACTION", "OBJECT", "DECISION", "CODE")
FIELDS = ("n", "at", "user", "address", "action", "object", "decision", "code")


@click.command("audit")
@click.option("--user", metavar="U", help="Only what this user did or tried.")
@click.option("--decision", type=click.Choice(["allowed", "denied"]), help="Only what was allowed, or denied.")
@click.option("--from", "since", metavar="TIME", help="From then on, as 2026-11-23T00:00:00Z.")
@click.option("--to", "until", metavar="TIME", help="Before then.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, newest first.")
@click.option("--verify", is_flag=True, help="Check instead that each entry is bound to the one before it.")
@common
def command(told: Common, verify: bool, limit: int, since: str | None, until: str | None, **asked: Any) -> None:  # noqa: FBT001 (click's)
    """Show who did what, and what was refused."""
    client = told.client()
    if not verify:
        found = client.items(place("audit"), limit, **{"from": since, "to": until}, **asked)
        show_list(told, TITLES, found, FIELDS)
        return
    report = client.get(place("audit", "verify"))
    if told.json:
        document(report)
    elif not told.quiet:
        broken = report.get("broken")
        say(
            f"{report.get('entries')} entries: "
            + ("all follow" if broken is None else f"broken at {broken}: {report.get('why')}")
        )
    click.get_current_context().exit(exits.OK if report.get("broken") is None else exits.FAILED)
