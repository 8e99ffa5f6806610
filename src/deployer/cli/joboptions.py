"""What `deployer run` and `schedules add` can say of a job: each option becomes the field that it is called after."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from deployer.cli.sizes import size
from deployer.cli.spans import Moment
from deployer.cli.things import read_text

MOST: Final = 1_000_000
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_BATCH: Final = re.compile(r"(-?[0-9]{1,15})-(-?[0-9]{1,15})(?:/([0-9]{1,15}))?", re.ASCII)
_ROLLING: Final = re.compile(r"[0-9]{1,7}%?", re.ASCII)
_ON: Final = ("success", "failure", "always")
_REPEATED: Final = (
    click.option("--fanout", metavar="all|one|N", help="On all agents that are meant, on one of them, or on so many."),
    click.option("--batch", metavar="FROM-TO[/BY]", help="A task for each of these numbers, which is $item in ARGS."),
    click.option("--items", metavar="FILE", help="A task for each line of a file (-: our own input): $item in ARGS."),
    click.option("--requires", metavar="ram=4G,load=2", help="What an agent must have free (G: 1024^3 bytes)."),
    click.option("--priority", type=int, metavar="N", help="Those with more go first."),
    click.option(
        "--rolling", metavar="N|P%", help="On so many hosts at a time; no more begin after the first failure."
    ),
    click.option(
        "--max-failures", metavar="K|any", help="With --rolling: no more begin after K failures, or never so."
    ),
    click.option("--away", type=click.Choice(["skip", "queue"]), help="What becomes of agents that are away."),
)
_ONCE: Final = (
    click.option(
        "--depends-on",
        multiple=True,
        metavar="ID[:ON]",
        help="Not before this job has ended well; ON: success, failure, always. May be repeated.",
    ),
    click.option(
        "--not-after",
        type=Moment(),
        metavar="TIME",
        help="What has not started by then never does: 5m, 2h, 1d from now on, or 2027-01-01T00:00:00Z.",
    ),
)


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all of them."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_REPEATED + _ONCE), command)


def repeated_job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command those that make sense for a job that is repeated."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_REPEATED), command)


def fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the job: what was given, nothing else; BadParameter."""
    wanted = {
        "fanout": _fanout(options["fanout"]),
        "batch": _batch(options["batch"], options["items"]),
        "depends_on": [_dependency(text) for text in options.get("depends_on", ())] or None,
        "requires": _requirements(options["requires"]),
        "priority": options["priority"],
        "rolling": _rolling(options["rolling"], options["max_failures"]),
        "away": options["away"],
        "not_after": options.get("not_after"),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _fanout(text: str | None) -> str | int | None:
    if text is None or text in {"all", "one"}:
        return text
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MOST):
        raise click.BadParameter(f"{text!r} is neither all, nor one, nor a number from 1 on", param_hint="--fanout")
    return int(text)


def _batch(text: str | None, source: str | None) -> dict[str, int] | list[str] | None:
    if text is not None and source is not None:
        raise click.UsageError("--batch and --items exclude each other")
    if source is not None:
        items = [line for line in read_text(source, "--items").splitlines() if line]
        if not items:
            raise click.BadParameter(f"{source} has no lines", param_hint="--items")
        return items
    if text is None:
        return None
    match = _BATCH.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not FROM-TO or FROM-TO/BY", param_hint="--batch")
    first, last, step = int(match[1]), int(match[2]), match[3]
    return {"from": first, "to": last} | ({} if step is None else {"by": int(step)})


def _dependency(text: str) -> str | dict[str, str]:
    job_id, colon, on = text.partition(":")
    if not _ID.fullmatch(job_id) or (colon and on not in _ON):
        raise click.BadParameter(f"{text!r} is not ID or ID:{'|'.join(_ON)}", param_hint="--depends-on")
    return {"id": job_id, "on": on} if colon else job_id


def _requirements(text: str | None) -> dict[str, int | float] | None:
    if text is None:
        return None
    found: dict[str, int | float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        ram = size(value) if name == "ram" else None
        if ram is not None:
            found[name] = ram
        elif name == "load" and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value, re.ASCII):
            found[name] = float(value) if "." in value else int(value)
        else:
            raise click.BadParameter(f"{part!r} is neither ram=SIZE nor load=NUMBER", param_hint="--requires")
    return found


def _rolling(text: str | None, failures: str | None) -> dict[str, Any] | None:
    if text is None:
        if failures is not None:
            raise click.UsageError("--max-failures belongs to --rolling")
        return None
    if not _ROLLING.fullmatch(text):
        raise click.BadParameter(f"{text!r} is neither a number nor a percentage", param_hint="--rolling")
    share = text if text.endswith("%") else int(text)
    return {"size": share} | ({} if failures is None else {"max_failures": _most(failures)})


def _most(text: str) -> int | None:
    if text == "any":
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MOST):
        raise click.BadParameter(f"{text!r} is neither a number from 1 on nor any", param_hint="--max-failures")
    return int(text)
