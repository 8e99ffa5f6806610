"""`deployer agents`."""

import click

from deployer.cli.options import Common, common
from deployer.cli.output import document, rows
from deployer.client.records import Agent

TITLES = ("AGENT", "STATE", "HOST", "LAST SEEN", "VERSION")


@click.command("agents")
@common
def command(told: Common) -> None:
    """List the agents."""
    agents = list(told.client().agents())
    if told.json:
        document({"items": [agent.document for agent in agents]})
    elif told.quiet:
        rows(("AGENT",), ((f"{agent.gid}:{agent.nid}",) for agent in agents))
    else:
        rows(TITLES, map(_row, agents))


def _row(agent: Agent) -> tuple[str, ...]:
    host = agent.document.get("host")
    name = host.get("name") if isinstance(host, dict) else None
    return (f"{agent.gid}:{agent.nid}", agent.state, str(name or ""), agent.last_seen, agent.version)
