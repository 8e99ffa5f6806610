"""What a master points at in a body or a query, in the words of the command that made it."""

import re
from collections.abc import Mapping
from typing import Final

import click

OPTIONS: Final = "deployer.options"
"""In the context's `meta`: the fields that the command's options and arguments fill, each with what it is called."""

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "data": ("data_file",),
    "limits": ("limit",),
    "batch": ("batch", "items"),
}
"""Fields that options of other names fill."""

_SCHEDULE: Final = "schedule"
_BOUND: Final = re.compile(r"Expected `(?:int|float)` (<|<=|>|>=) (-?[0-9.]+)")
_BOUNDS: Final = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}
_REGEX: Final = re.compile(r"Expected `str` matching regex '(.*)'")
_PATTERNS: Final = {
    "^[a-z0-9][a-z0-9_-]{0,62}": "must be 1 to 63 of small letters, digits, _ and -, and begin with a letter or digit",
    "^[A-Za-z0-9._-]{1,128}": "must be 1 to 128 of letters, digits, dot, _ and -",
    "^[A-Za-z0-9._@-]{1,64}": "must be 1 to 64 of letters, digits, dot, _, @ and -",
    "^[A-Za-z0-9+_/-]{1,64}": "must be the name of a time zone, as Europe/Berlin",
}


def remember(context: click.Context) -> None:
    """Keep what the command's parameters are called, for errors that come when it has ended."""
    context.meta[OPTIONS] = called(context.command.params, context.params)


def called(params: list[click.Parameter], given: Mapping[str, object]) -> dict[str, str]:
    """By the fields that they fill; those that were given come before others of the same name."""
    found: dict[str, str] = {}
    for param in sorted(params, key=lambda one: given.get(one.name or "") is None):
        name = max(param.opts, key=len) if isinstance(param, click.Option) else str(param.metavar or param.name)
        for field in (param.name or "", name.removeprefix("--").replace("-", "_")):
            found.setdefault(field, name)
        for field, its in _ALIASES.items():
            if param.name in its:
                found.setdefault(field, name)
    return found


def in_words(pointer: str, message: str, known: Mapping[str, str]) -> str:
    """`--target: no agent matches this target`; what no option of ours fills is pointed at as it came. Pure."""
    return f"{_name(pointer, known)}: {_plain(message)}"


def _name(pointer: str, known: Mapping[str, str]) -> str:
    steps = pointer.split("/")[1:]
    if steps == ["name"] and _SCHEDULE in known:
        return known[_SCHEDULE]
    if steps[:1] == ["job"] and _SCHEDULE in known:
        del steps[0]
    if steps[:1] == ["args"] and len(steps) > 1 and steps[1] not in {"cmd", "args"}:
        del steps[0]
    fields = [steps[1], steps[0]] if steps[:1] == ["rolling"] and len(steps) > 1 else steps[:1]
    return next((known[field] for field in fields if known.get(field, "").startswith("--")), pointer or "/")


def _plain(message: str) -> str:
    bound, regex = _BOUND.fullmatch(message), _REGEX.fullmatch(message)
    if bound is not None:
        return f"must be {_BOUNDS[bound[1]]} {bound[2]}"
    if regex is not None:
        return next(
            (said for start, said in _PATTERNS.items() if regex[1] in {start, start + r"\Z", start + r"\\Z"}), message
        )
    return message
