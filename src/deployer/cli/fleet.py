"""Options by which agents and hosts are chosen."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from deployer.cli.completion import AGENT, HOST

F = TypeVar("F", bound=Callable[..., Any])

STATES = ("pending", "online", "overdue", "offline", "draining", "revoked")
SORTS = ("id", "name", "-name", "last_seen", "-last_seen")
_OPTIONS = (
    click.option(
        "--target",
        "-t",
        metavar="EXPR",
        type=AGENT,
        help="Only those that are meant, as `role=web and nid<9`.",
    ),
    click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only those in this state."),
    click.option("--name", metavar="N", type=HOST, help="Only hosts of this name."),
    click.option("--role", metavar="R", help="Only those with this role."),
    click.option("--labels", metavar="K=V,K", help="Only those with all these labels."),
    click.option("--rack", metavar="X", help="Only those in this rack."),
    click.option("--zone", metavar="X", help="Only those in this zone."),
    click.option("--datacenter", metavar="X", help="Only those in this datacenter."),
    click.option("--region", metavar="X", help="Only those in this region."),
    click.option("--sort", type=click.Choice(SORTS), help="The order; by number without it."),
)


def chosen(command: F) -> F:
    """Give a command these options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
