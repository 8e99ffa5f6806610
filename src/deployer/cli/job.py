"""`deployer job ID`."""

from collections.abc import Sequence

import click

from deployer.cli import exits
from deployer.cli.completion import JOB
from deployer.cli.jobname import job_id as known
from deployer.cli.jobs import command_line, user_of
from deployer.cli.options import Common, common
from deployer.cli.output import document, names, rows
from deployer.cli.spans import Span
from deployer.client.client import Client
from deployer.client.records import Job, Task

TITLES = ("AGENT", "STATE", "CODE", "EXIT", "ITEM", "SECONDS", "REASON")
HEAD = ("JOB", "STATE", "TARGET", "COMMAND", "USER", "CREATED", "FINISHED")


@click.command("job")
@click.argument("job_id", metavar="ID", type=JOB)
@click.option("--wait", type=Span(), metavar="TIME", help="Wait until it is final, at most so long: 60, 5m, 2h.")
@common
def command(told: Common, job_id: str, wait: int | None) -> None:
    """Show a job and its tasks.

    With --wait the exit code tells how it ended: 0 OK, 1 failed, 124 timed out or still running then.
    """
    client = told.client()
    job_id = known(client, job_id)
    job = client.job(job_id) if wait is None else client.wait(job_id, wait)
    if told.quiet and not told.json:
        names([job.state])
    else:
        _show(told, client, job)
    if wait is not None:
        click.get_current_context().exit(exits.of_job(job))


def _show(told: Common, client: Client, job: Job) -> None:
    tasks = list(client.tasks(job.id))
    if told.json:
        document(with_tasks(job, tasks))
        return
    rows(HEAD, [_summary(job)], spare=("FINISHED", "USER", "CREATED"))
    rows(TITLES, map(_row, tasks), right=("SECONDS",), spare=("SECONDS", "CODE"))


def _row(task: Task) -> tuple[object, ...]:
    item, time = task.document.get("item"), task.document.get("time")
    seconds = f"{time / 1000:.1f}" if isinstance(time, int) and time else ""
    return (task.agent_id, task.state, task.code, task.exit_status, item, seconds, task.reason)


def _summary(job: Job) -> tuple[str, ...]:
    finished = str(job.document.get("finished") or "")
    return (job.id, job.state, job.target, command_line(job), user_of(job), job.created, finished)


def with_tasks(job: Job, tasks: Sequence[Task]) -> dict[str, object]:
    """The job as one document, its tasks in it."""
    items = [task.document for task in tasks]
    return {**job.document, "tasks": {**(job.document.get("tasks") or {}), "items": items}}
