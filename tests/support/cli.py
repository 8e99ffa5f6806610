"""What tests of the command line share."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from click.testing import Result

import deployer

Cli = Callable[..., Result]
"""Runs `deployer` with these arguments."""


def program_environment(more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Ours, with the checkout's sources, for a program that is started."""
    given = {name: value for name, value in (more or {}).items() if value}
    return {**os.environ, **given, "PYTHONPATH": str(Path(deployer.__file__).parent.parent)}
