"""What tests of the command line share."""

from collections.abc import Callable, Mapping

from click.testing import Result

from support.programs import environment

Cli = Callable[..., Result]
"""Runs `deployer` with these arguments."""


def program_environment(more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """That of the programs, and what more is given."""
    return environment() | {name: value for name, value in (more or {}).items() if value}
