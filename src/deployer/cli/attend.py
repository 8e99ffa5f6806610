"""Attending to a job: its output as it comes or at the end, how far it is, how it ended, and the exit code."""

import contextlib
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from click.core import ParameterSource

from deployer.cli import exits, groups
from deployer.cli.fold import by_number, fold
from deployer.cli.job import with_tasks
from deployer.cli.options import Common
from deployer.cli.output import Printer, document, is_for_many, line, say
from deployer.cli.progress import Progress, in_words
from deployer.cli.spans import Span
from deployer.cli.vigil import LOOK_S, Overdue, Vigil, followed
from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError, Unreachable
from deployer.client.records import Dropped, Ended, Job, Message, Task
from deployer.client.requests import LOST_IN_A_ROW

UNSTARTED: Final = frozenset({"ROLLOUT_STOPPED", "DEPENDENCY_FAILED", "EXPIRED", "CANCELLED", "AGENT_REVOKED"})
"""Codes of tasks that never began."""
_OPTIONS: Final = (
    click.option("--pass-exit", is_flag=True, help="Exit with the status of the command."),
    click.option("--wait/--no-wait", default=True, help="Wait for the end; else print the job's id."),
    click.option("--timeout", "timeout_s", type=Span(1), metavar="TIME", help="Wait at most so long: 90s, 5m, 2h."),
    click.option("--follow/--no-follow", default=True, help="Show output as it comes; else when the job has ended."),
    click.option(
        "--gather/--no-gather",
        "-b",
        "gather",
        default=None,
        help="At the end, once for all hosts that put out the same; so it is for many hosts on a terminal.",
    ),
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the person wants to be told. `gather` None: as it fits."""

    wait: bool
    follow: bool
    pass_exit: bool
    gather: bool | None
    timeout_s: float | None = None

    @classmethod
    def taken(cls, options: dict[str, Any]) -> "Wishes":
        """Take them out of a command's options."""
        gather = options.pop("gather")
        given = click.get_current_context().get_parameter_source("follow") is not ParameterSource.DEFAULT
        wishes = {name: options.pop(name) for name in ("wait", "follow", "pass_exit", "timeout_s")}
        if wishes["timeout_s"] is not None and not wishes["wait"]:
            raise click.UsageError("--timeout and --no-wait exclude each other")
        return cls(**wishes, gather=False if gather is None and given else gather)

    def gathers(self, job: Job) -> bool:
        """Whether the output of this job is shown so."""
        return (is_for_many(job) and sys.stdout.isatty()) if self.gather is None else self.gather


def attending(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


def submitted(told: Common, client: Client, job_id: str, submit: Callable[[], Job], wishes: Wishes) -> int:
    """Submit and attend; the exit code. Interrupting ends the job."""
    try:
        return _attend(told, client, submit(), wishes)
    except KeyboardInterrupt:
        return _interrupted(client, job_id)
    except Overdue:
        return _left(told, client, job_id)


def _attend(told: Common, client: Client, job: Job, wishes: Wishes) -> int:
    if not wishes.wait:
        if told.json:
            document(job.document)
        else:
            click.echo(job.id)
        return exits.OK
    show = _as_lines if told.ndjson else _as_document if told.json else _as_text
    vigil = Vigil(client, job.id, wishes.timeout_s, silent=told.quiet)
    ended, tasks = show(told, client, job, wishes, vigil)
    return exits.of_tasks(ended, tasks) if wishes.pass_exit else exits.of_job(ended)


def _as_text(told: Common, client: Client, job: Job, wishes: Wishes, vigil: Vigil) -> tuple[Job, Sequence[Task]]:
    group = wishes.gathers(job)
    if wishes.follow and not group:
        ended = _follow(told, client, job, vigil, Printer(named=is_for_many(job)).show)
    else:
        ended = _until_final(client, job, vigil, Progress(shown=not told.quiet))
    tasks = list(client.tasks(ended.id)) if wishes.pass_exit or group or ended.state != "OK" else []
    if group:
        groups.show(client.log(ended.id), tasks)
    elif not wishes.follow:
        printer = Printer(named=is_for_many(ended))
        for item in client.log(ended.id):
            printer.show(item)
    if not told.quiet:
        _explain(tasks if not group else [])
        if is_for_many(ended) and (group or ended.state != "OK"):
            say(f"job {ended.id}: {in_words(ended.counts, sum(task.code in UNSTARTED for task in tasks))}")
        elif ended.state != "OK":
            say(f"job {ended.id} is {ended.state}")
    return ended, tasks


def _as_document(told: Common, client: Client, job: Job, wishes: Wishes, vigil: Vigil) -> tuple[Job, Sequence[Task]]:
    del wishes
    ended = _until_final(client, job, vigil, Progress(shown=not told.quiet))
    tasks = list(client.tasks(ended.id))
    items = [item.document for item in client.log(ended.id) if isinstance(item, Message)]
    document({**with_tasks(ended, tasks), "log": items})
    return ended, tasks


def _as_lines(told: Common, client: Client, job: Job, wishes: Wishes, vigil: Vigil) -> tuple[Job, Sequence[Task]]:
    """What comes, each under its name; at last the tasks and the job."""
    del wishes
    line({"job": job.document})
    ended = _follow(told, client, job, vigil, as_line)
    tasks = list(client.tasks(ended.id))
    for task in tasks:
        line({"task": task.document})
    line({"job": ended.document})
    return ended, tasks


def as_line(item: Message | Dropped, more: Mapping[str, Any] | None = None) -> None:
    """A message, or how many were dropped, as a line of JSON."""
    said = {"dropped": item.count} if isinstance(item, Dropped) else {"message": item.document}
    line({**said, **(more or {})})


def _follow(told: Common, client: Client, job: Job, vigil: Vigil, show: Callable[[Message | Dropped], None]) -> Job:
    def idle() -> None:
        for news in vigil.news():
            say(news)

    for item in followed(told.own_client(), job.id, idle):
        if isinstance(item, Ended):
            return item.job
        show(item)
    return client.wait(job.id)


def _until_final(client: Client, job: Job, vigil: Vigil, progress: Progress) -> Job:
    """Wait, as long as it takes, and say meanwhile how far it is; a master may go away."""
    fruitless, trouble = 0, ""
    try:
        while not job.final:
            for news in vigil.news():
                progress.clear()
                say(news)
            progress.show(job, trouble)
            try:
                job = client.wait(job.id, LOOK_S)
                fruitless, trouble = 0, ""
            except Unreachable as error:
                fruitless, trouble = fruitless + 1, str(error)
                if fruitless == LOST_IN_A_ROW:
                    raise
    finally:
        progress.clear()
    return job


def _explain(tasks: Sequence[Task]) -> None:
    """Who ended otherwise than well, and how: those with the same end in one line."""
    ends: dict[str, list[str]] = {}
    for task in tasks:
        if task.state != "OK":
            ends.setdefault(groups.how_it_ended(task), []).append(task.agent_id)
    for ended, agents in sorted(ends.items(), key=lambda one: min(map(by_number, one[1]))):
        say(f"{fold(agents)}: {ended}")


def _left(told: Common, client: Client, job_id: str) -> int:
    """Say where to find what is waited for no more."""
    if told.json:
        with contextlib.suppress(Unreachable):
            job = client.job(job_id).document
            document({"job": job} if told.ndjson else job)
    if not told.quiet:
        say(f"job {job_id} goes on: `deployer log -f {job_id}` shows it, `deployer cancel {job_id}` ends it")
    return exits.TIMEOUT


def _interrupted(client: Client, job_id: str) -> int:
    """Ask for the job's end; it may not even have been accepted yet."""
    client.close()
    try:
        client.cancel(job_id)
        say(f"interrupted: {job_id} is asked to end; `deployer log {job_id}` shows what it has put out")
    except ApiError as error:
        say(f"interrupted: {job_id} was not ended: {error}")
    except (ClientError, KeyboardInterrupt):
        say(f"interrupted: {job_id} could not be ended and may still run")
    return exits.INTERRUPTED
