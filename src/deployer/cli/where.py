"""The options that say which master: they may stand before the command or behind it."""

import functools
from collections.abc import Callable
from typing import Any, Final

import click

OPTIONS: Final = (
    click.option("--url", metavar="URL", help="Address of the master (or DEPLOYER_URL, or a context)."),
    click.option("--token-file", metavar="FILE", help="File with the token (or DEPLOYER_TOKEN_FILE, or a context)."),
    click.option("--context", metavar="NAME", help="Context of the context file, instead of its current one."),
)


def which_master(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(OPTIONS), command)
