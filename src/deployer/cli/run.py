"""`deployer run`."""

from typing import Any

import click

from deployer.cli.attend import Wishes, attending, submitted
from deployer.cli.completion import AGENT
from deployer.cli.joboptions import fields, job_options
from deployer.cli.options import Common, common
from deployer.cli.runoptions import arguments, process_options
from deployer.cli.things import read_text
from deployer.client.requests import new_id


class Commanding(click.Command):
    """Takes no word for a command that stands before a `--`: it is a value that some option does not have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; UsageError."""
        words = list(args)
        rest = super().parse_args(ctx, args)
        argv = ctx.params.get("argv") or ()
        before = words[: len(words) - len(argv)]
        if "--" in argv and before[-1:] != ["--"]:
            stray = " ".join(argv[: argv.index("--")])
            raise click.UsageError(
                f"what is {stray!r} before the --? A command with a -- in it comes behind another --", ctx
            )
        return rest


@click.command("run", cls=Commanding, context_settings={"allow_interspersed_args": False})
@click.option(
    "--target",
    "-t",
    required=True,
    metavar="EXPR",
    type=AGENT,
    help="The agents: one as GID:NID, or an expression as `role=web and os=linux`.",
)
@job_options
@process_options
@click.option("--data-file", metavar="FILE", help="UTF-8 text for its standard input; - reads ours.")
@click.option("--id", "job_id", metavar="ID", help="The job's id; the same id again does not run twice.")
@attending
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND [ARGS]...")
@common
def command(told: Common, argv: tuple[str, ...], **options: Any) -> None:
    """Run a command on hosts and show its output.

    The exit code is 0 when it went well, 1 when it failed, 124 when it timed out; 2 usage, 3 not allowed, 4 not found,
    5 no master, 130 interrupted. Interrupting ends the job.
    """
    wishes = Wishes.taken(options)
    args, more = arguments(argv, options), fields(options)
    data = "" if options["data_file"] is None else read_text(options["data_file"], "--data-file")
    target, job_id = options["target"], options["job_id"] or new_id()
    client = told.client()
    code = submitted(
        told,
        client,
        job_id,
        lambda: client.submit("execute", args, target=target, data=data, job_id=job_id, **more),
        wishes,
    )
    click.get_current_context().exit(code)
