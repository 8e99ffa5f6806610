"""`deployer tokens` and `deployer join-tokens`."""

from typing import Any

import click

from deployer.cli.options import Common, common
from deployer.cli.things import ROLES, given, place, show_list, show_one, whole

TITLES = ("TOKEN", "NAME", "USER", "ROLE", "EXPIRES", "USED")
FIELDS = ("id", "name", "user", "role", "expires", "used")
JOIN_TITLES = ("TOKEN", "NAME", "GRID", "USES", "EXPIRES")
JOIN_FIELDS = ("id", "name", "gid", "uses", "expires")
_expires = click.option("--expires", metavar="TIME", help="Until then, as 2027-01-01T00:00:00Z.")


@click.group("tokens", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List tokens of users; make and revoke them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_all)


@command.command("list")
@common
def list_all(told: Common) -> None:
    """List the company's tokens."""
    show_list(told, TITLES, whole(told, place("tokens")), FIELDS)


@command.command("add")
@click.argument("name")
@click.option("--user", metavar="U", help="Whose it is; yours without it.")
@click.option("--role", type=click.Choice(ROLES), help="What it may do at most.")
@_expires
@common
def add(told: Common, name: str, **options: Any) -> None:
    """Make a token and print it: this once."""
    made = told.client().make(place("tokens"), {"name": name, **given(**options)})
    show_one(told, made, "token", f"token {made.get('id')} is {made.get('user')}'s as {made.get('role')}")


@command.command("rm")
@click.argument("token_id", metavar="ID")
@common
def remove(told: Common, token_id: str) -> None:
    """Revoke a token."""
    gone = told.client().remove(place("tokens", token_id))
    show_one(told, gone, "", f"token {token_id} is revoked")


@click.group("join-tokens", invoke_without_command=True)
@click.pass_context
def joining(ctx: click.Context) -> None:
    """List tokens by which agents join; make and revoke them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_joining)


@joining.command("list")
@common
def list_joining(told: Common) -> None:
    """List the company's join tokens."""
    show_list(told, JOIN_TITLES, whole(told, place("join-tokens")), JOIN_FIELDS)


@joining.command("add")
@click.argument("name")
@click.option("--gid", type=click.IntRange(1), help="Which grid; 1 without it.")
@click.option("--uses", type=click.IntRange(1), help="For how many agents; one without it.")
@_expires
@common
def add_joining(told: Common, name: str, **options: Any) -> None:
    """Make a join token and print it: this once."""
    made = told.client().make(place("join-tokens"), {"name": name, **given(**options)})
    show_one(told, made, "token", f"join token {made.get('id')} is for grid {made.get('gid')}")


@joining.command("rm")
@click.argument("token_id", metavar="ID")
@common
def remove_joining(told: Common, token_id: str) -> None:
    """Revoke a join token; agents that have joined stay."""
    gone = told.client().remove(place("join-tokens", token_id))
    show_one(told, gone, "", f"join token {token_id} is revoked")
