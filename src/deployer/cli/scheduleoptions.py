"""What `deployer schedules add` and `set` can say of when: each option is the field that it is called after."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from deployer.cli.spans import Span
from deployer.cli.things import given

FIELDS: Final = ("cron", "timezone", "every_s", "jitter_s", "overlap", "catch_up")
_OPTIONS: Final = (
    click.option("--cron", metavar="EXPR", help="When: minute, hour, day, month, weekday; or @hourly, @daily, …"),
    click.option("--timezone", metavar="ZONE", help="Of the expression, as Europe/Berlin; UTC without it."),
    click.option("--every", "every_s", type=Span(1), help="When: at each period, as 90, 5m, 2h or 1d."),
    click.option("--jitter", "jitter_s", type=Span(), help="Later than that by up to so much, each time another time."),
    click.option(
        "--overlap",
        type=click.Choice(("skip", "queue", "replace")),
        help="What happens while the job before still runs.",
    ),
    click.option("--catch-up", type=click.Choice(("none", "one", "all")), help="What is made up for after an outage."),
)


def timing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all of them."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


def timing(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the schedule: what was given, nothing else; UsageError for two ways to say when."""
    if options["cron"] is not None and options["every_s"] is not None:
        raise click.UsageError("--cron and --every exclude each other")
    return given(**{name: options[name] for name in FIELDS})
