"""`deployer cancel ID`."""

import click

from deployer.cli.completion import JOB
from deployer.cli.jobname import job_id as known
from deployer.cli.options import Common, common
from deployer.cli.output import document, say


@click.command("cancel")
@click.argument("job_id", metavar="ID", type=JOB)
@common
def command(told: Common, job_id: str) -> None:
    """End a job: what has not started never starts, what runs is killed."""
    client = told.client()
    job_id = known(client, job_id)
    before = client.job(job_id)
    job = before if before.final else client.cancel(job_id)
    if told.json:
        document(job.document)
    elif not told.quiet and before.final:
        say(f"{job.id} has ended before: it is {job.state}")
    elif not told.quiet:
        say(f"{job.id} is asked to end; it is {job.state}")
