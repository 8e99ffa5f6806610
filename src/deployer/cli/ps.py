"""`deployer ps`."""

import sys
from functools import partial
from itertools import islice
from typing import Any

import click

from deployer.cli.completion import AGENT, JOB
from deployer.cli.options import Common, common
from deployer.cli.things import show_records
from deployer.cli.usage import ENDED_TITLES, PROCESS_SPARE, PROCESS_TITLES, TO_THE_RIGHT, ended_row, process_row
from deployer.client.records import Process


@click.command("ps")
@click.option("--target", "-t", metavar="GID:NID", type=AGENT, help="Only this agent.")
@click.option("--domain", metavar="D", help="Only processes of this domain.")
@click.option("--name", metavar="N", help="Only processes of this name.")
@click.option("--user", metavar="U", help="Only processes of this user's jobs.")
@click.option("--job", metavar="ID", type=JOB, help="Only processes of this job.")
@click.option("--ended", is_flag=True, help="What has ended instead, of the newest jobs first.")
@click.option("--limit", type=click.IntRange(1), help="How many at most; 20 of those that have ended.")
@common
def command(told: Common, target: str | None, ended: bool, limit: int | None, **asked: Any) -> None:  # noqa: FBT001 (click's)
    """List processes and what they consume."""
    gid, nid = (None, None) if target is None else _numbers(target)
    processes = told.client().processes(state="ended" if ended else None, gid=gid, nid=nid, **asked)
    found = islice(processes, 20 if ended and limit is None else limit)
    if ended:
        show_records(told, found, ENDED_TITLES, ended_row, _id, right=TO_THE_RIGHT)
    else:
        row = partial(process_row, human=sys.stdout.isatty())
        show_records(told, found, PROCESS_TITLES, row, _id, right=TO_THE_RIGHT, spare=PROCESS_SPARE)


def _id(process: Process) -> str:
    return process.id


def _numbers(target: str) -> tuple[int, int]:
    gid, colon, nid = target.partition(":")
    if not (colon and all(part.isascii() and part.isdecimal() and len(part) <= 10 for part in (gid, nid))):  # noqa: PLR2004 (digits of the largest)
        raise click.BadParameter("has the form GID:NID, two numbers", param_hint="--target")
    return int(gid), int(nid)
