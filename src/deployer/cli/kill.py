"""`deployer kill ID`."""

import click

from deployer.cli import exits
from deployer.cli.completion import AGENT, JOB
from deployer.cli.jobname import job_id as known
from deployer.cli.options import Common, common
from deployer.cli.output import document, say

WAIT_S = 30.0


@click.command("kill")
@click.argument("job_id", metavar="ID", type=JOB)
@click.option("--target", "-t", metavar="GID:NID", type=AGENT, help="On which agent, where the job is on several.")
@click.option("--signal", "-s", metavar="SIG", help="Send this signal, as HUP, instead of ending it.")
@common
def command(told: Common, job_id: str, target: str | None, signal: str | None) -> None:
    """End what a job runs, or send its process a signal."""
    client = told.client()
    job_id = known(client, job_id)
    agents = [target] if target else [task.agent_id for task in client.tasks(job_id)]
    args = {"id": job_id} | ({} if signal is None else {"signal": signal.upper().removeprefix("SIG")})
    jobs = [client.wait(client.submit("kill", args, target=one).id, WAIT_S) for one in agents]
    if told.json:
        document({"items": [job.document for job in jobs]})
    elif not told.quiet:
        for agent, job in zip(agents, jobs, strict=True):
            say(f"{agent}: {job.state}")
    click.get_current_context().exit(exits.OK if all(job.state == "OK" for job in jobs) else exits.FAILED)
