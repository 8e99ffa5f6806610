"""What tests of the command line share."""

from collections.abc import Callable

from click.testing import Result

Cli = Callable[..., Result]
"""Runs `deployer` with these arguments."""
