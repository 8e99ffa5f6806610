"""The entry point `deployer`. Commands are imported when they are chosen, so that `--help` is there at once."""

import os
import sys
from importlib import import_module
from typing import Any

import click

from deployer.cli.where import which_master

COMMANDS = {
    "run": ("deployer.cli.run", "Run a command on hosts and show its output."),
    "rerun": ("deployer.cli.rerun", "Run again what has failed of a job."),
    "top": ("deployer.cli.top", "Watch what hosts and processes consume."),
    "ps": ("deployer.cli.ps", "List processes and what they consume."),
    "hosts": ("deployer.cli.hosts", "List the hosts and what they are."),
    "agents": ("deployer.cli.agents", "List the agents."),
    "jobs": ("deployer.cli.jobs", "List the newest jobs."),
    "job": ("deployer.cli.job", "Show a job and its tasks."),
    "log": ("deployer.cli.log", "Show what a job has put out."),
    "logs": ("deployer.cli.logs", "Show what jobs have put out, by time."),
    "cancel": ("deployer.cli.cancel", "End a job."),
    "kill": ("deployer.cli.kill", "End what a job runs, or send its process a signal."),
    "schedules": ("deployer.cli.schedules", "List schedules; make, pause, run and remove them."),
    "metrics": ("deployer.cli.metrics", "Find series of numbers and show them."),
    "events": ("deployer.cli.events", "Show what happens to jobs, tasks, agents and the rest."),
    "scripts": ("deployer.cli.scripts", "List scripts; put, show and remove them."),
    "users": ("deployer.cli.users", "List users; make, change and remove them."),
    "tokens": ("deployer.cli.tokens", "List tokens of users; make and revoke them."),
    "join-tokens": ("deployer.cli.tokens:joining", "List tokens by which agents join; make and revoke them."),
    "audit": ("deployer.cli.audit", "Show who did what, and what was refused."),
    "login": ("deployer.cli.login:login", "Keep a token for a master as a context."),
    "logout": ("deployer.cli.login:logout", "Forget a context."),
    "completion": ("deployer.cli.shells", "Print a shell's completion script."),
    "contexts": ("deployer.cli.login:contexts", "List contexts; choose the current one."),
}


if "_DEPLOYER_COMPLETE" in os.environ:
    import_module("deployer.cli.shells")  # a shell asks: ours is told what click's own would get wrong


class Commands(click.Group):
    """The table above; errors of the client become one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)  # what a shell gives a program that SIGINT ended
        except Exception as error:
            failures = sys.modules.get("deployer.cli.failures") or import_module("deployer.cli.failures")
            code = failures.report(error)
            if code is None:
                raise
            ctx.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@which_master
@click.version_option(package_name="deployer")
def main(**where: str | None) -> None:
    """Run commands on fleets of hosts through a Deployer master."""
    del where  # each command reads it from the context, after its own options
