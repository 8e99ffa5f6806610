"""`deployer agents`."""

import click

from deployer.cli.fleet import chosen
from deployer.cli.options import Common, common
from deployer.cli.things import show_records
from deployer.client.records import Agent

TITLES = ("AGENT", "STATE", "HOST", "ROLES", "LAST SEEN", "VERSION")
SPARE = ("VERSION", "LAST SEEN")


@click.command("agents")
@chosen
@common
def command(told: Common, **asked: str | None) -> None:
    """List the agents."""
    show_records(
        told, told.client().agents(**asked), TITLES, _row, lambda agent: f"{agent.gid}:{agent.nid}", spare=SPARE
    )


def _row(agent: Agent) -> tuple[str, ...]:
    roles = ",".join(map(str, agent.document.get("roles") or ()))
    return (f"{agent.gid}:{agent.nid}", agent.state, agent.hostname, roles, agent.last_seen, agent.version)
