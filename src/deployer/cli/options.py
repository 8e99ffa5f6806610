"""Options that every command has, and the client that they ask for."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from deployer.cli.contexts import find
from deployer.cli.output import LINES
from deployer.cli.pointers import remember
from deployer.cli.where import which_master
from deployer.client.client import Client

TARGET = "deployer.target"
"""In the context's `meta`: the master that was chosen."""


@dataclass(frozen=True, slots=True)
class Common:
    """What every command is told."""

    url: str | None
    token_file: str | None
    context: str | None
    json: bool
    quiet: bool
    ndjson: bool = False
    """With `json` too: one line of JSON for each thing, as it comes."""

    def client(self) -> Client:
        """A client of the chosen master, closed with the command."""
        client = self.own_client()
        click.get_current_context().call_on_close(client.close)
        return client

    def own_client(self) -> Client:
        """The same, for whoever closes it; one that a thread reads from cannot be closed by another."""
        meta = click.get_current_context().meta  # a token that comes through a pipe can be read once
        target = meta.get(TARGET) or meta.setdefault(TARGET, find(self.url, self.token_file, self.context))
        return Client(target.url, target.token, target.ca_file, patience_s=3.0)


_OPTIONS = (
    click.option("--json", is_flag=True, help="Print one JSON document."),
    click.option("--ndjson", is_flag=True, help="Print a line of JSON for each thing, as it comes."),
    click.option("--quiet", "-q", is_flag=True, help="Print only what was asked for: ids in lists, no remarks."),
)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the common options, as its first argument."""

    @functools.wraps(command)
    def told(*, url: str | None, token_file: str | None, context: str | None, **own: Any) -> Any:
        json, ndjson, quiet = (own.pop(name) for name in ("json", "ndjson", "quiet"))
        if json and ndjson:
            raise click.UsageError("--json and --ndjson exclude each other")
        before = click.get_current_context().find_root().params  # the same may stand in front of the command
        told_all = Common(
            url=url or before.get("url"),
            token_file=token_file or before.get("token_file"),
            context=context or before.get("context"),
            json=json or ndjson,
            quiet=quiet,
            ndjson=ndjson,
        )
        click.get_current_context().meta[LINES] = ndjson
        remember(click.get_current_context())
        return command(told_all, **own)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), which_master(told))
