"""The options that say which master: they may stand before the command or behind it."""

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from deployer.cli.completion import CONTEXT

OPTIONS: Final = (
    click.option("--url", metavar="URL", help="Address of the master (or DEPLOYER_URL, or a context)."),
    click.option("--token-file", metavar="FILE", help="File with the token (or DEPLOYER_TOKEN_FILE, or a context)."),
    click.option("--context", type=CONTEXT, help="Context of the context file; its current one without it."),
)


def which_master(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(OPTIONS), command)
