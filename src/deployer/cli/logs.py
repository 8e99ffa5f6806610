"""`deployer logs ID...`."""

import click

from deployer.cli.attend import as_line
from deployer.cli.completion import JOB
from deployer.cli.jobname import job_id as known
from deployer.cli.merge import MOST_FOLLOWED, Said, followed, merged, short_ids
from deployer.cli.options import Common, common
from deployer.cli.output import Printer, document
from deployer.client.records import Message


@click.command("logs")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=JOB)
@click.option("--follow", "-f", is_flag=True, help="Stay until the jobs have ended.")
@click.option("--times", "-T", is_flag=True, help="Say when, too.")
@common
def command(told: Common, ids: tuple[str, ...], follow: bool, times: bool) -> None:  # noqa: FBT001 (click passes it by name)
    """Show what jobs have put out, by time.

    Each line says on which host, and of several jobs of which.
    """
    if follow and len(set(ids)) > MOST_FOLLOWED:
        raise click.UsageError(f"{MOST_FOLLOWED} jobs can be followed at once")
    client = told.client()
    jobs = list(dict.fromkeys(known(client, one) for one in ids))
    found = followed(told.own_client, jobs) if follow else merged(client, jobs)
    names = short_ids(jobs) if len(jobs) > 1 else {}
    if told.json and not told.ndjson:
        document({"items": [_named(one) for one in found if isinstance(one.item, Message)]})
        return
    printer = Printer(named=True)
    for one in found:
        if told.ndjson:
            as_line(one.item, {"job": one.job})
        else:
            printer.show(one.item, _front(one, names, times=times))


def _named(said: Said) -> dict[str, object]:
    return {"job": said.job, **said.item.document} if isinstance(said.item, Message) else {}


def _front(said: Said, names: dict[str, str], *, times: bool) -> str:
    at = str(said.item.document.get("at") or "") if times and isinstance(said.item, Message) else ""
    return "".join(f"{part}  " for part in (at, names.get(said.job, "")) if part)
