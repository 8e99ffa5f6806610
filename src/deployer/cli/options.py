"""Options that every command has, and the client that they ask for."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from deployer.cli.contexts import find
from deployer.client.client import Client


@dataclass(frozen=True, slots=True)
class Common:
    """What every command is told."""

    url: str | None
    token_file: str | None
    context: str | None
    json: bool
    quiet: bool

    def client(self) -> Client:
        """A client of the chosen master, closed with the command."""
        target = find(self.url, self.token_file, self.context)
        client = Client(target.url, target.token, target.ca_file, patience_s=3.0)
        click.get_current_context().call_on_close(client.close)
        return client


_OPTIONS = (
    click.option("--url", metavar="URL", help="Address of the master (or DEPLOYER_URL, or a context)."),
    click.option("--token-file", metavar="FILE", help="File with the token (or DEPLOYER_TOKEN_FILE, or a context)."),
    click.option("--context", metavar="NAME", help="Context of the context file, instead of its current one."),
    click.option("--json", is_flag=True, help="Print one JSON document."),
    click.option("--quiet", "-q", is_flag=True, help="Print only what was asked for: ids in lists, no remarks."),
)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the common options, as its first argument."""

    @functools.wraps(command)
    def told(
        *, url: str | None, token_file: str | None, context: str | None, json: bool, quiet: bool, **own: Any
    ) -> Any:
        return command(Common(url, token_file, context, json, quiet), **own)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), told)
