"""`deployer jobs`."""

import shlex

import click

from deployer.cli.options import Common, common
from deployer.cli.things import show_records
from deployer.client.records import Job
from deployer.protocol.states import TASK_STATES

TITLES = ("JOB", "STATE", "TARGET", "COMMAND", "USER", "CREATED")
SPARE = ("USER", "CREATED", "TARGET")


@click.command("jobs")
@click.option("--state", type=click.Choice(TASK_STATES, case_sensitive=False), help="Only jobs in this state.")
@click.option("--user", metavar="U", help="Only jobs of this user.")
@click.option("--target", "-t", metavar="EXPR", help="Only jobs that were submitted for just this target.")
@click.option("--cmd", metavar="CMD", help="Only jobs of this command, as execute.")
@click.option("--schedule", metavar="ID", help="Only jobs that this schedule has started.")
@click.option("--from", "since", metavar="TIME", help="Made from then on, as 2026-11-23T00:00:00Z.")
@click.option("--to", "until", metavar="TIME", help="Made before then.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@common
def command(told: Common, limit: int, since: str | None, until: str | None, **asked: str | None) -> None:
    """List the newest jobs."""
    found = told.client().jobs(limit=limit, **{"from": since, "to": until}, **asked)
    show_records(told, found, TITLES, _row, lambda job: job.id, spare=SPARE)


def _row(job: Job) -> tuple[str, ...]:
    return (job.id, job.state, job.target, command_line(job), user_of(job), job.created)


def user_of(job: Job) -> str:
    """Who submitted it."""
    return str((job.document.get("user") or {}).get("id") or "")


def command_line(job: Job) -> str:
    """What a job runs, in one line as a shell would take it: of `execute` the program, else the name of the command."""
    args = job.document.get("args")
    if job.cmd != "execute" or not isinstance(args, dict):
        return job.cmd
    words = [str(args.get("cmd") or args.get("name") or ""), *map(str, args.get("args") or [])]
    return words[0] if args.get("shell") else shlex.join(words)
