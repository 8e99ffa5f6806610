"""`deployer hosts`."""

import sys

import click

from deployer.cli.fleet import chosen
from deployer.cli.options import Common, common
from deployer.cli.output import document, rows
from deployer.cli.units import exact
from deployer.client.records import Host

TITLES = ("HOST", "NAME", "STATE", "OS", "CORES", "MEMORY", "CPU", "LAST SEEN")


@click.command("hosts")
@chosen
@common
def command(told: Common, **asked: str | None) -> None:
    """List the hosts and what they are."""
    hosts = list(told.client().hosts(**asked))
    if told.json:
        document({"items": [host.document for host in hosts]})
    elif told.quiet:
        rows(("HOST",), ((host.id,) for host in hosts))
    else:
        unit = " GB" if sys.stdout.isatty() else ""
        rows(TITLES, (_row(host, unit) for host in hosts), ("CORES", "MEMORY"))


def _row(host: Host, unit: str) -> tuple[str | None, ...]:
    memory = "" if host.memory is None else exact(host.memory) + unit
    return (host.id, host.name, host.state, host.os, exact(host.cores), memory, host.cpu, host.last_seen)
