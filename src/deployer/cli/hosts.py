"""`deployer hosts`."""

import sys

import click

from deployer.cli.fleet import chosen
from deployer.cli.options import Common, common
from deployer.cli.things import show_records
from deployer.cli.units import exact
from deployer.client.records import Host

TITLES = ("HOST", "NAME", "STATE", "OS", "CORES", "MEMORY", "CPU", "LAST SEEN")
SPARE = ("CPU", "LAST SEEN", "OS")


@click.command("hosts")
@chosen
@common
def command(told: Common, **asked: str | None) -> None:
    """List the hosts and what they are."""
    unit = " GB" if sys.stdout.isatty() else ""
    found = told.client().hosts(**asked)
    show_records(
        told, found, TITLES, lambda host: _row(host, unit), lambda host: host.id, right=("CORES", "MEMORY"), spare=SPARE
    )


def _row(host: Host, unit: str) -> tuple[str | None, ...]:
    memory = "" if host.memory is None else exact(host.memory) + unit
    return (host.id, host.name, host.state, host.os, exact(host.cores), memory, host.cpu, host.last_seen)
