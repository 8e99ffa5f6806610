"""`deployer jobs`."""

import click

from deployer.cli.options import Common, common
from deployer.cli.things import show_records
from deployer.client.records import Job
from deployer.protocol.states import TASK_STATES

TITLES = ("JOB", "STATE", "TARGET", "COMMAND", "CREATED")
SPARE = ("CREATED", "TARGET")


@click.command("jobs")
@click.option("--state", type=click.Choice(TASK_STATES, case_sensitive=False), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@common
def command(told: Common, state: str | None, limit: int) -> None:
    """List the newest jobs."""
    show_records(told, told.client().jobs(state=state, limit=limit), TITLES, _row, lambda job: job.id, spare=SPARE)


def _row(job: Job) -> tuple[str, ...]:
    return (job.id, job.state, job.target, command_line(job), job.created)


def command_line(job: Job) -> str:
    """What a job runs, in one line: of `execute` the program, else the name of the command."""
    args = job.document.get("args")
    if job.cmd != "execute" or not isinstance(args, dict):
        return job.cmd
    return " ".join([str(args.get("cmd") or args.get("name") or ""), *map(str, args.get("args") or [])])
