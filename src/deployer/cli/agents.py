"""`deployer agents`."""

import click

from deployer.cli.fleet import chosen
from deployer.cli.options import Common, common
from deployer.cli.output import document, rows
from deployer.client.records import Agent

TITLES = ("AGENT", "STATE", "HOST", "LAST SEEN", "VERSION")


@click.command("agents")
@chosen
@common
def command(told: Common, **asked: str | None) -> None:
    """List the agents."""
    agents = list(told.client().agents(**asked))
    if told.json:
        document({"items": [agent.document for agent in agents]})
    elif told.quiet:
        rows(("AGENT",), ((f"{agent.gid}:{agent.nid}",) for agent in agents))
    else:
        rows(TITLES, map(_row, agents))


def _row(agent: Agent) -> tuple[str, ...]:
    return (f"{agent.gid}:{agent.nid}", agent.state, agent.hostname, agent.last_seen, agent.version)
