"""`deployer logs`."""

from typing import Any

import click

from deployer.cli.attend import as_line
from deployer.cli.completion import JOB
from deployer.cli.jobname import job_id as known
from deployer.cli.logsearch import Asked, levels, show
from deployer.cli.logsearch import follow as follow_all
from deployer.cli.merge import MOST_FOLLOWED, Said, followed, merged, short_ids
from deployer.cli.options import Common, common
from deployer.cli.output import Printer, document
from deployer.cli.spans import Past
from deployer.client.records import Message


@click.command("logs")
@click.argument("ids", metavar="[ID...]", nargs=-1, type=JOB)
@click.option("--follow", "-f", is_flag=True, help="Stay: until the jobs have ended, or for good.")
@click.option("--times", "-T", is_flag=True, help="Of jobs: say when, too.")
@click.option("--host", "-H", metavar="HOST", help="Only of this host: a name, or an agent as 1:1.")
@click.option("--domain", "-d", metavar="D", help="Only of this domain; `syslog` is what came by syslog.")
@click.option("--name", "-n", metavar="N", help="Only of jobs or programs of this name.")
@click.option("--level", "-l", metavar="L", help="Only of these levels, as 7-9, 1,2 or warning,error.")
@click.option("--text", "-g", metavar="TEXT", help="Only what has this in it, whatever the case of its letters.")
@click.option("--job", type=JOB, metavar="ID", help="Only of this job, as `deployer logs ID` shows it whole.")
@click.option("--jobs", "-j", is_flag=True, help="Say on which agent and of which job, too.")
@click.option("--from", "since", type=Past(), help="All from then on: as 2026-11-23T00:00:00Z, 14:30, or -15m.")
@click.option("--to", "until", type=Past(), help="Before then.")
@click.option(
    "--limit", type=click.IntRange(1), help="How many of the newest (100, in front of --follow 10; all with --from)."
)
@common
def command(told: Common, ids: tuple[str, ...], *, follow: bool, times: bool, jobs: bool, **asked: Any) -> None:
    """Search and follow what jobs and hosts say.

    With IDs: what these jobs have put out, by time. Without: messages of all hosts, the newest last.

    Each line says on which host, and of several jobs of which.
    """
    if asked["level"] is not None:
        asked["level"] = levels(asked["level"])
    if asked["job"] is not None:
        asked["job"] = known(told.client(), asked["job"])
    wanted = Asked(**asked)
    if not ids:
        (follow_all if follow else show)(told, wanted, jobs=jobs)
        return
    if wanted != Asked():
        raise click.UsageError("a job that is named is shown as it is: use --job ID to search in it")
    _of_jobs(told, ids, follow=follow, times=times)


def _of_jobs(told: Common, ids: tuple[str, ...], *, follow: bool, times: bool) -> None:
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
