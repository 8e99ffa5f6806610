"""`deployer users`."""

import sys
from typing import Any

import click

from deployer.cli.options import Common, common
from deployer.cli.things import ROLES, given, place, read_text, show_list, show_one

TITLES = ("USER", "ROLE", "EMAIL", "AGENTS", "DISABLED", "CREATED")
FIELDS = ("name", "role", "email", "agents", "disabled", "created")
_agents = click.option("--agents", metavar="G:N,…|all", help="The agents that the user may use.")
_role = click.option("--role", type=click.Choice(ROLES), help="What the user may do.")
_email = click.option("--email", metavar="ADDRESS")


@click.group("users", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List users; make, change and remove them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_all)


@command.command("list")
@common
def list_all(told: Common) -> None:
    """List the company's users."""
    show_list(told, TITLES, told.client().items(place("users")), FIELDS)


@command.command("add")
@click.argument("name")
@_role
@_email
@_agents
@common
def add(told: Common, name: str, **options: Any) -> None:
    """Make a user, who can do nothing before there is a password or a token."""
    made = told.client().make(place("users"), {"name": name, **_fields(options)})
    show_one(told, made, "", f"user {name} is made as {made.get('role')}")


@command.command("set")
@click.argument("name")
@_role
@_email
@_agents
@click.option("--disabled/--enabled", default=None, help="Whether the user may come in.")
@common
def change(told: Common, name: str, **options: Any) -> None:
    """Change a user."""
    changed = told.client().change(place("users", name), _fields(options))
    show_one(told, changed, "", f"user {name} is {changed.get('role')}")


@command.command("passwd")
@click.argument("name")
@click.option("--file", "source", metavar="FILE", default="-", help="Where the password is; our own input without it.")
@common
def password(told: Common, name: str, source: str) -> None:
    """Set a user's password: the first line of a file, or of our own input."""
    if source == "-" and sys.stdin.isatty():
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        text = read_text(source, "--file").partition("\n")[0]
    told.client().put(place("users", name, "password"), {"password": text})
    show_one(told, {}, "", f"the password of {name} is set")


@command.command("rm")
@click.argument("name")
@common
def remove(told: Common, name: str) -> None:
    """Remove a user with all tokens."""
    told.client().remove(place("users", name))
    show_one(told, {"name": name}, "", f"user {name} is removed")


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    agents = options.pop("agents", None)
    fields = given(**options)
    if agents is not None:
        fields["agents"] = None if agents == "all" else [one for one in agents.split(",") if one]
    return fields
