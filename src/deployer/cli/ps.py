"""`deployer ps`."""

import sys

import click

from deployer.cli.options import Common, common
from deployer.cli.output import document, rows
from deployer.cli.usage import PROCESS_TITLES, TO_THE_RIGHT, process_row


@click.command("ps")
@click.option("--target", "-t", metavar="GID:NID", help="Only this agent.")
@click.option("--domain", metavar="D", help="Only processes of this domain.")
@click.option("--name", metavar="N", help="Only processes of this name.")
@common
def command(told: Common, target: str | None, domain: str | None, name: str | None) -> None:
    """List processes and what they consume."""
    gid, nid = (None, None) if target is None else _numbers(target)
    found = list(told.client().processes(gid=gid, nid=nid, domain=domain, name=name))
    if told.json:
        document({"items": [process.document for process in found]})
    elif told.quiet:
        rows(PROCESS_TITLES[:3], ((one.agent, one.domain, one.name) for one in found))
    else:
        human = sys.stdout.isatty()
        rows(PROCESS_TITLES, (process_row(one, human=human) for one in found), TO_THE_RIGHT)


def _numbers(target: str) -> tuple[int, int]:
    gid, colon, nid = target.partition(":")
    if not (colon and all(part.isascii() and part.isdecimal() and len(part) <= 10 for part in (gid, nid))):  # noqa: PLR2004 (digits of the largest)
        raise click.BadParameter("has the form GID:NID, two numbers", param_hint="--target")
    return int(gid), int(nid)
