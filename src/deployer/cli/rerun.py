"""`deployer rerun ID`."""

from typing import Any

import click

from deployer.cli.attend import Wishes, attending, submitted
from deployer.cli.completion import JOB
from deployer.cli.jobname import job_id as known
from deployer.cli.options import Common, common
from deployer.client.requests import new_id


@click.command("rerun")
@click.argument("job_id", metavar="ID", type=JOB)
@click.option("--id", "new", metavar="ID", help="The new job's id; the same id again does not run twice.")
@attending
@common
def command(told: Common, job_id: str, new: str | None, **options: Any) -> None:
    """Run again what has failed of a job.

    It is a new job, which is attended to as `deployer run` does.
    """
    client = told.client()
    job_id = known(client, job_id)
    wishes = Wishes.taken(options)
    new = new or new_id()
    code = submitted(told, client, new, lambda: client.rerun(job_id, new_id=new), wishes)
    click.get_current_context().exit(code)
