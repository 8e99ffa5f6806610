"""`deployer login`, `logout` and `contexts`."""

import os
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from deployer.cli.completion import CONTEXT
from deployer.cli.contextfile import NAME, with_context, with_current, without_context
from deployer.cli.contexts import BadContext, as_token, config_path, parse, read_token
from deployer.cli.options import Common, common
from deployer.cli.output import say
from deployer.cli.things import place, read_text, show_list
from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError
from deployer.client.records import Document
from deployer.client.requests import Address
from deployer.client.session import token_by_password
from deployer.kit.files import private_dir, write_private

FORBIDDEN = 403
TITLES = ("CONTEXT", "URL", "CURRENT")
FIELDS = ("name", "url", "current")


@click.command("login")
@click.argument("url")
@click.option("--name", metavar="NAME", help="What the context is called; the master's host name without it.")
@click.option("--ca-file", metavar="FILE", help="The CA to trust instead of the system's; a copy is kept.")
@click.option("--token-file", metavar="FILE", help="Take the token in a file (-: our own input), ask for no password.")
@click.option("--user", metavar="U", help="Whose password it is; asked for without it.")
@click.option("--company", metavar="C", help="The user's company, where it is not the default one.")
@click.option("--expires", metavar="TIME", help="Until then the new token is good, as 2027-01-01T00:00:00Z.")
def login(url: str, name: str | None, ca_file: str | None, token_file: str | None, **asked: str | None) -> None:
    """Keep a token for a master as a context.

    Commands use it from then on. It asks for user and password and has a token made with them, which needs the right
    to make tokens: all others give --token-file.
    """
    name = name or Address.read(url).host
    if not NAME.fullmatch(name):
        raise click.BadParameter("letters, digits and . _ - make a name, 64 at most", param_hint="--name")
    authority = None if ca_file is None else read_text(ca_file, "--ca-file")
    made = _made(url, ca_file, asked) if token_file is None else {"token": _given(token_file)}
    client = Client(url, str(made["token"]), ca_file, patience_s=3.0)
    try:
        caller = client.get(place("user"))
    finally:
        client.close()
    _keep(name, url, made, authority)
    say(f"context {name}: {caller.get('user')} ({caller.get('role')}) at {url}")


def _given(source: str) -> str:
    return as_token(read_text("-", "--token-file"), "our own input") if source == "-" else read_token(Path(source))


def _made(url: str, ca_file: str | None, asked: dict[str, str | None]) -> Document:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for a password: give --token-file FILE, or - for our input")
    user = asked["user"] or click.prompt("User", err=True)
    password = click.prompt("Password", hide_input=True, err=True)
    who = {"user": user, **({"company": asked["company"]} if asked["company"] else {})}
    wanted = {"name": f"login on {socket.gethostname()}"[:64]} | (
        {"expires": asked["expires"]} if asked["expires"] else {}
    )
    try:
        return token_by_password(url, ca_file, who, password, wanted)
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise
        raise ClientError(f"{error}: who may not make tokens gets one from an owner and gives --token-file") from error


def _keep(name: str, url: str, made: Document, authority: str | None) -> None:
    path = config_path(os.environ)
    folder = path.parent if path.parent.exists() else private_dir(path.parent)
    fields = {"url": url, "token_file": f"{name}.token"}
    write_private(folder / f"{name}.token", f"{made['token']}\n".encode())
    if authority is not None:
        fields["ca_file"] = f"{name}.ca.pem"
        write_private(folder / f"{name}.ca.pem", authority.encode())
    if made.get("id"):
        fields["token_id"] = str(made["id"])
    write_private(path, with_context(_text(path), name, fields).encode())


@click.command("logout")
@click.argument("name", required=False, type=CONTEXT)
def logout(name: str | None) -> None:
    """Forget a context.

    The current one without NAME. A token that login has made is revoked.
    """
    path = config_path(os.environ)
    text = _text(path)
    config = parse(path) if text else {}
    name = name or str(config.get("current") or "")
    its: dict[str, Any] | None = (config.get("contexts") or {}).get(name)
    if its is None:
        raise BadContext(f"{path} has no context {name!r}" if name else "there is no current context: name one")
    if its.get("token_id"):
        _revoke(path, its)
    write_private(path, without_context(text, name).encode())
    for kept in (f"{name}.token", f"{name}.ca.pem"):
        if kept in {its.get("token_file"), its.get("ca_file")}:
            (path.parent / kept).unlink(missing_ok=True)
    say(f"context {name} is forgotten")


def _revoke(path: Path, its: dict[str, Any]) -> None:
    ca_file = its.get("ca_file")
    try:
        token = read_token(path.parent / str(its.get("token_file")))
        client = Client(str(its["url"]), token, ca_file and str(path.parent / ca_file), patience_s=0.0)
        try:
            client.remove(place("tokens", str(its["token_id"])))
        finally:
            client.close()
    except ClientError as error:
        say(f"the token could not be revoked: {error}")


@click.group("contexts", invoke_without_command=True)
@click.pass_context
def contexts(ctx: click.Context) -> None:
    """List contexts; choose the current one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_all)


@contexts.command("list")
@common
def list_all(told: Common) -> None:
    """List the contexts of the context file."""
    path = config_path(os.environ)
    config = parse(path) if path.exists() else {}
    known = sorted((config.get("contexts") or {}).items())
    current = config.get("current")
    found = [{"name": name, "url": its.get("url"), "current": "*" if name == current else ""} for name, its in known]
    show_list(told, TITLES, found, FIELDS)


@contexts.command("use")
@click.argument("name", type=CONTEXT)
def use(name: str) -> None:
    """Make a context the current one."""
    path = config_path(os.environ)
    text = _text(path)
    if name not in (tomllib.loads(text).get("contexts") or {}):
        raise BadContext(f"{path} has no context {name!r}")
    write_private(path, with_current(text, name).encode())
    say(f"context {name} is the current one")


def _text(path: Path) -> str:
    if not path.exists():
        return ""
    parse(path)
    return path.read_text()
