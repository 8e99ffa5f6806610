"""`deployer scripts`."""

from typing import Any

import click

from deployer.cli.completion import SCRIPT
from deployer.cli.options import Common, common
from deployer.cli.output import document
from deployer.cli.things import place, read_text, show_list, show_one, whole

TITLES = ("SCRIPT", "NAME", "SIZE", "USER", "CREATED", "SHA256")
FIELDS = ("domain", "name", "size", "user", "created", "sha256")


class ScriptName(click.ParamType[tuple[str, str]]):
    """`DOMAIN/NAME`."""

    name = "DOMAIN/NAME"

    def convert(
        self,
        value: str | tuple[str, str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Its two parts."""
        if isinstance(value, tuple):
            return value
        domain, slash, name = value.partition("/")
        if not (domain and slash and name) or "/" in name:
            self.fail(f"{value!r} is not DOMAIN/NAME", param, ctx)
        return domain, name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        """Those that the company has."""
        return SCRIPT.shell_complete(ctx, param, incomplete)


_script = click.argument("script", type=ScriptName(), metavar="DOMAIN/NAME")


@click.group("scripts", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List scripts; put, show and remove them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_all)


@command.command("list")
@common
def list_all(told: Common) -> None:
    """List the company's scripts."""
    show_list(told, TITLES, whole(told, place("scripts")), FIELDS)


@command.command("put")
@_script
@click.argument("file")
@common
def put(told: Common, script: tuple[str, str], file: str) -> None:
    """Keep a file's text (- is our own input) as the newest version of a script."""
    kept = told.client().put(place("scripts", *script), read_text(file, "FILE"))
    show_one(told, kept, "", f"{'/'.join(script)} is {kept.get('sha256')}")


@command.command("get")
@_script
@common
def get(told: Common, script: tuple[str, str]) -> None:
    """Print a script."""
    found = told.client().get(place("scripts", *script))
    if told.json:
        document(found)
    else:
        click.echo(str(found.get("text", "")), nl=False)


@command.command("rm")
@_script
@common
def remove(told: Common, script: tuple[str, str]) -> None:
    """Remove a script with all its versions."""
    told.client().remove(place("scripts", *script))
    show_one(told, {}, "", f"{'/'.join(script)} is removed")
