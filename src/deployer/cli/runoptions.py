"""What `deployer run` can say of a process: each option is the argument of `execute` that it is called after."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from deployer.cli.sizes import Size, size
from deployer.cli.spans import Span

_SIMPLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "domain": {"metavar": "D", "help": "What the process belongs to."},
    "name": {"metavar": "N", "help": "What it is called in its domain."},
    "max_time": {
        "type": Span(forever=True),
        "metavar": "TIME",
        "help": "End it after so long, as 90s, 5m, 2h or 1d; 0: no limit; -1: a daemon, started again when it ends.",
    },
    "max_restart": {"type": click.IntRange(0), "metavar": "N", "help": "Repeat it N times if it fails early."},
    "recurring_period": {"type": Span(1), "metavar": "TIME", "help": "Run it again and again, so long apart."},
    "workingdir": {"metavar": "DIR", "help": "Where it runs."},
    "user": {"metavar": "U", "help": "As whom it runs; the host's policy decides."},
    "group": {"metavar": "G", "help": "In which group it runs."},
    "umask": {"metavar": "OCTAL", "help": "The mask of files that it makes."},
    "queue": {"metavar": "Q", "help": "Jobs of one queue run one after another on a host."},
    "stop_signal": {"metavar": "SIG", "help": "How it is asked to end."},
    "grace": {"type": Span(fractions=True), "metavar": "TIME", "help": "So long until it is made to end."},
    "max_memory": {"type": Size(), "metavar": "SIZE", "help": "End it when it uses more, as 512M or 2G."},
    "watchdog": {"type": Span(1), "metavar": "TIME", "help": "End it when it is silent for so long."},
}
_OPTIONS: Final = (
    *(click.option(f"--{name.replace('_', '-')}", name, **how) for name, how in _SIMPLE.items()),
    click.option("--env", "-e", multiple=True, metavar="K=V", help="A variable of its environment; may be repeated."),
    click.option(
        "--limit", multiple=True, metavar="NAME=N", help="A limit as in prlimit(1), or pids, memory; as --env."
    ),
    click.option("--shell", is_flag=True, help="COMMAND is a line for /bin/sh, ARGS are its $1, $2, …"),
)


def process_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all of them."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


def arguments(argv: tuple[str, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """The `args` of `execute`: what was given, nothing else."""
    given = {name: options[name] for name in _SIMPLE if options.get(name) is not None}
    env = _pairs("--env", options["env"])
    limits = {name: _number(name, value) for name, value in _pairs("--limit", options.get("limit", ())).items()}
    more = {"env": env, "limits": limits, "shell": bool(options.get("shell"))}
    return {"cmd": argv[0], "args": list(argv[1:]), **given, **{name: value for name, value in more.items() if value}}


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if any(not name or not equals for name, equals, _ in pairs):
        raise click.BadParameter("has the form NAME=VALUE", param_hint=option)
    return {name: value for name, _, value in pairs}


def _number(name: str, value: str) -> int:
    found = size(value) if name == "memory" or (value.isascii() and value.isdecimal()) else None
    if found is None:
        raise click.BadParameter("has the form NAME=NUMBER, or memory=SIZE as 512M or 2G", param_hint="--limit")
    return found
