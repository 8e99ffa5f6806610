"""`deployer run`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from deployer.cli import exits
from deployer.cli.job import with_tasks
from deployer.cli.options import Common, common
from deployer.cli.output import Printer, document, is_for_many, say
from deployer.cli.runoptions import arguments, process_options
from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError
from deployer.client.records import Ended, Job, Message, Task
from deployer.client.requests import new_id

MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the person wants to be told."""

    wait: bool
    follow: bool
    pass_exit: bool


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option(
    "--target",
    "-t",
    required=True,
    metavar="EXPR",
    help="The agent as GID:NID, or an expression as `role=web and os=linux`.",
)
@click.option("--fanout", metavar="all|one|N", help="On all agents that are meant, on one of them, or on so many.")
@process_options
@click.option("--data-file", metavar="FILE", help="UTF-8 text for its standard input; - reads ours.")
@click.option("--id", "job_id", metavar="ID", help="The job's id; the same id again does not run twice.")
@click.option("--pass-exit", is_flag=True, help="Exit with the status of the command.")
@click.option("--wait/--no-wait", default=True, help="Wait for the end; else print the job's id.")
@click.option("--follow/--no-follow", default=True, help="Show output as it comes; else when the job has ended.")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND [ARGS]...")
@common
def command(told: Common, argv: tuple[str, ...], **options: Any) -> None:
    """Run a command on a host and show its output.

    The exit code is 0 when it went well, 1 when it failed, 124 when it timed out; 2 usage, 3 not allowed, 4 not found,
    5 no master, 130 interrupted. Interrupting ends the job.
    """
    wishes = Wishes(options["wait"], options["follow"] and not told.json, options["pass_exit"])
    args = arguments(argv, options)
    data = _data(options["data_file"])
    job_id = options["job_id"] or new_id()
    client = told.client()
    try:
        fanout = _fanout(options["fanout"])
        more = {} if fanout is None else {"fanout": fanout}
        job = client.submit("execute", args, target=options["target"], data=data, job_id=job_id, **more)
        code = _attend(told, client, job, wishes)
    except KeyboardInterrupt:
        code = _interrupted(client, job_id)
    click.get_current_context().exit(code)


def _fanout(text: str | None) -> str | int | None:
    if text is None or text in {"all", "one"}:
        return text
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MOST):
        raise click.BadParameter(f"{text!r} is neither all, nor one, nor a number from 1 on", param_hint="--fanout")
    return int(text)


def _data(source: str | None) -> str:
    if source is None:
        return ""
    try:
        return (sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()).decode()
    except OSError as error:
        raise click.BadParameter(f"{source}: {error.strerror}", param_hint="--data-file") from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{source} is not UTF-8 at byte {error.start}", param_hint="--data-file") from error


def _attend(told: Common, client: Client, job: Job, wishes: Wishes) -> int:
    """Show what comes and how it ends; the exit code."""
    if not wishes.wait:
        if told.json:
            document(job.document)
        else:
            click.echo(job.id)
        return exits.OK
    ended = _follow(client, job) if wishes.follow else client.wait(job.id)
    tasks = list(client.tasks(ended.id)) if told.json or wishes.pass_exit or ended.state != "OK" else []
    if told.json:
        items = [item.document for item in client.log(ended.id) if isinstance(item, Message)]
        document({**with_tasks(ended, tasks), "log": items})
    elif not wishes.follow:
        _print_log(client, ended)
    if not (told.quiet or told.json):
        _explain(tasks)
    return exits.of_tasks(ended, tasks) if wishes.pass_exit else exits.of_job(ended)


def _follow(client: Client, job: Job) -> Job:
    printer = Printer(named=is_for_many(job))
    for item in client.follow(job.id):
        if isinstance(item, Ended):
            return item.job
        printer.show(item)
    return client.wait(job.id)


def _print_log(client: Client, job: Job) -> None:
    printer = Printer(named=is_for_many(job))
    for item in client.log(job.id):
        printer.show(item)


def _explain(tasks: Sequence[Task]) -> None:
    for task in tasks:
        if task.state != "OK":
            say(
                " ".join(
                    filter(None, [f"{task.agent_id}: {task.state}", task.code, task.reason and f"({task.reason})"])
                )
            )


def _interrupted(client: Client, job_id: str) -> int:
    """Ask for the job's end; it may not even have been accepted yet."""
    client.close()
    try:
        client.cancel(job_id)
        say(f"interrupted: {job_id} is asked to end")
    except ApiError as error:
        say(f"interrupted: {job_id} was not ended: {error}")
    except (ClientError, KeyboardInterrupt):
        say(f"interrupted: {job_id} could not be ended and may still run")
    return exits.INTERRUPTED
