"""What shells may complete: ids of jobs, agents, hosts, scripts, contexts. Quick, and silent when it is not known."""

import os
import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:  # commands that are run need none of it
    from click.shell_completion import CompletionItem

MOST: Final = 100
TIMEOUT_S: Final = 1.0
SAFE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:/@%+-]*", re.ASCII)
"""What a shell takes for one plain word: hosts choose their names, and a shell would run what is in some."""


class Known(click.ParamType[str]):
    """A text that a master knows the possible values of."""

    def __init__(self, name: str, values: Callable[[Any, str], Iterable[tuple[str, str]]]) -> None:
        self.name = name
        self._values = values

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 (click's)
        """Any text is taken: who knows better is the master."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG002 (click's)
        """What begins so, with a word about each."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 (only when a shell asks)

        from deployer.cli.output import one_line  # noqa: PLC0415 (as above)

        try:
            client = _client(ctx)
            try:
                found = self._values(client, incomplete)
                fit = ((value, text) for value, text in found if value.startswith(incomplete) and SAFE.fullmatch(value))
                return [CompletionItem(value, help=one_line(text) or None) for value, text in islice(fit, MOST)]
            finally:
                client.close()
        except Exception:  # noqa: BLE001 (whatever it is: a shell that waits for a word wants no message)
            return []


class Context(click.ParamType[str]):
    """The name of a context."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 (click's)
        """Any text."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":  # noqa: ARG002 (click's)
        """Those of the context file."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 (only when a shell asks)

        from deployer.cli.contexts import config_path, parse  # noqa: PLC0415 (as above)

        try:
            known = parse(config_path(os.environ)).get("contexts") or {}
        except Exception:  # noqa: BLE001 (as above)
            return []
        fit = ((name, its) for name, its in known.items() if name.startswith(incomplete))
        return [CompletionItem(name, help=str(its.get("url") or "")) for name, its in fit]


def _client(ctx: click.Context) -> Any:
    from deployer.cli.contexts import find  # noqa: PLC0415 (only when a shell asks)
    from deployer.client.client import Client  # noqa: PLC0415 (only when a shell asks)

    told: dict[str, Any] = {}
    for level in (ctx, ctx.find_root()):
        told |= {name: level.params.get(name) or told.get(name) for name in ("url", "token_file", "context")}
    target = find(told["url"], told["token_file"], told["context"])
    return Client(target.url, target.token, target.ca_file, timeout_s=TIMEOUT_S, patience_s=0.0)


def _jobs(client: Any, _: str) -> Iterable[tuple[str, str]]:
    from deployer.cli.jobs import command_line  # noqa: PLC0415 (only when a shell asks)

    return ((job.id, f"{job.state} {job.target} {command_line(job)}"[:60]) for job in client.jobs(limit=MOST))


def _agents(client: Any, _: str) -> Iterable[tuple[str, str]]:
    return ((f"{one.gid}:{one.nid}", f"{one.hostname} {one.state}".strip()) for one in client.agents())


def _hosts(client: Any, _: str) -> Iterable[tuple[str, str]]:
    return ((one.name, one.id) for one in client.hosts() if one.name)


def _scripts(client: Any, _: str) -> Iterable[tuple[str, str]]:
    return ((f"{one['domain']}/{one['name']}", "") for one in client.items("/api/v1/scripts"))


JOB: Final = Known("ID", _jobs)
AGENT: Final = Known("GID:NID", _agents)
HOST: Final = Known("HOST", _hosts)
SCRIPT: Final = Known("DOMAIN/NAME", _scripts)
CONTEXT: Final = Context()
