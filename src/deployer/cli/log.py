"""`deployer log ID`."""

import click

from deployer.cli.completion import JOB
from deployer.cli.jobname import job_id as known
from deployer.cli.options import Common, common
from deployer.cli.output import Printer, document, is_for_many
from deployer.client.records import Message


@click.command("log")
@click.argument("job_id", metavar="ID", type=JOB)
@click.option("--follow", "-f", is_flag=True, help="Stay until the job has ended.")
@common
def command(told: Common, job_id: str, follow: bool) -> None:  # noqa: FBT001 (click passes it by name)
    """Show what a job has put out."""
    client = told.client()
    job_id = known(client, job_id)
    messages = client.log(job_id, follow=follow)
    if told.json:
        document({"items": [message.document for message in messages if isinstance(message, Message)]})
        return
    printer = Printer(named=is_for_many(client.job(job_id)))
    for message in messages:
        printer.show(message)
