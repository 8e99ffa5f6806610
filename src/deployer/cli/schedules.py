"""`deployer schedules`."""

from collections.abc import Mapping
from typing import Any, Final

import click

from deployer.cli.joboptions import fields, repeated_job_options
from deployer.cli.options import Common, common
from deployer.cli.output import document, rows
from deployer.cli.runoptions import arguments, process_options
from deployer.cli.scheduleoptions import timing, timing_options
from deployer.cli.things import given, place, read_text, show_one
from deployer.client.records import Document

TITLES = ("NAME", "WHEN", "NEXT", "LAST", "FIRED", "TARGET", "COMMAND")
FIRINGS = ("AT", "OUTCOME", "JOB", "REASON")
MAX_NAME: Final = 63
_name = click.argument("name")


@click.group("schedules", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List schedules; make, pause, run and remove them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_all)


@command.command("list")
@common
def list_all(told: Common) -> None:
    """List the company's schedules."""
    found = list(told.client().items(place("schedules")))
    if told.json:
        document({"items": found})
    elif told.quiet:
        rows(TITLES[:1], ([one.get("name")] for one in found))
    else:
        rows(TITLES, map(_row, found), right=("FIRED",), spare=("FIRED", "LAST", "TARGET"))


@command.command("add")
@click.argument("schedule", metavar="NAME")
@timing_options
@click.option("--start", metavar="TIME", help="Not before, as 2026-12-01T00:00:00Z.")
@click.option("--end", metavar="TIME", help="Not behind.")
@click.option("--paused", is_flag=True, help="Do not begin yet.")
@click.option("--target", "-t", required=True, metavar="EXPR", help="The agents, as for `deployer run`.")
@repeated_job_options
@process_options
@click.option("--data-file", metavar="FILE", help="UTF-8 text for its standard input; - reads ours.")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARGS]...")
@common
def add(told: Common, schedule: str, argv: tuple[str, ...], **options: Any) -> None:
    """Run a command again and again: deployer schedules add NAME --cron "30 2 * * *" -t 1:1 -- COMMAND."""
    if (options["cron"] is None) == (options["every_s"] is None):
        raise click.UsageError("say when: either by --cron or by --every")
    more = given(paused=options["paused"] or None, start=options["start"], end=options["end"])
    body = {"name": schedule, **timing(options), **more}
    made = told.client().make(place("schedules"), {**body, "job": _job(argv, options)})
    show_one(told, made, "", f"schedule {schedule} is made; it fires next at {made.get('next') or 'no time'}")


@command.command("set")
@_name
@click.option("--rename", metavar="NAME", help="What it is called from now on.")
@timing_options
@common
def change(told: Common, name: str, rename: str | None, **options: Any) -> None:
    """Change a schedule; what is not named stays. Who does so is its user from then on."""
    body = given(name=rename) | timing(options)
    if not body:
        raise click.UsageError("say what to change, as --cron or --every")
    changed = told.client().change(_place(told, name), body)
    called = rename or name
    show_one(told, changed, "", f"schedule {called} is changed; it fires next at {changed.get('next') or 'no time'}")


@command.command("show")
@_name
@common
def show(told: Common, name: str) -> None:
    """Show a schedule, its next firings and its last ones."""
    client = told.client()
    its = _place(told, name)
    found = client.get(its)
    last = list(client.items(f"{its}/firings"))
    if told.json:
        document({**found, "firings": {**(found.get("firings") or {}), "items": last}})
        return
    rows(TITLES, [_row(found)])
    rows(("NEXT",), ([at] for at in found.get("next_firings") or []))
    rows(FIRINGS, map(_firing, last))


@command.command("pause")
@_name
@common
def pause(told: Common, name: str) -> None:
    """Let a schedule rest."""
    changed = told.client().change(_place(told, name), {"paused": True})
    show_one(told, changed, "", f"schedule {name} is paused")


@command.command("resume")
@_name
@common
def resume(told: Common, name: str) -> None:
    """Let a schedule go on; what it would have done meanwhile is not made up for."""
    changed = told.client().change(_place(told, name), {"paused": False})
    show_one(told, changed, "", f"schedule {name} fires next at {changed.get('next') or 'no time'}")


@command.command("run")
@_name
@common
def run(told: Common, name: str) -> None:
    """Start a schedule's job now and print its id."""
    job = told.client().make(f"{_place(told, name)}/run", {})
    show_one(told, job, "id", f"schedule {name} is started as job {job.get('id')}")


@command.command("rm")
@_name
@common
def remove(told: Common, name: str) -> None:
    """Remove a schedule. What it has started goes on."""
    gone = told.client().remove(_place(told, name))
    show_one(told, gone, "", f"schedule {name} is removed")


def _place(told: Common, name: str) -> str:
    """Where the schedule of a name, or an id, is."""
    found = [] if len(name) > MAX_NAME else list(told.client().items(place("schedules"), name=name))
    return place("schedules", str(found[0]["id"]) if found else name)


def _job(argv: tuple[str, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    source = options["data_file"]
    data = {} if source is None else {"data": read_text(source, "--data-file")}
    return {"cmd": "execute", "args": arguments(argv, options), "target": options["target"], **fields(options), **data}


def _row(one: Document) -> list[object]:
    job = one.get("job") or {}
    last = one.get("last") or {}
    next_ = "paused" if one.get("paused") else one.get("next")
    fired = (one.get("counts") or {}).get("fired")
    return [one.get("name"), _when(one), next_, last.get("outcome"), fired, job.get("target"), _command(job)]


def _when(one: Document) -> str:
    if one.get("cron") is None:
        return f"every {one.get('every_s')} s"
    zone = one.get("timezone")
    return f"{one['cron']}" + ("" if zone == "UTC" else f" {zone}")


def _command(job: Document) -> str:
    args = job.get("args")
    if job.get("cmd") != "execute" or not isinstance(args, dict):
        return str(job.get("cmd") or "")
    return " ".join([str(args.get("cmd") or args.get("name") or ""), *map(str, args.get("args") or [])])


def _firing(one: Document) -> list[object]:
    job = one.get("job") or {}
    count = int(one.get("count") or 1)
    reason = f"{count} times, until {one.get('until')}" if count > 1 else one.get("reason")
    return [one.get("at") or one.get("told"), one.get("outcome"), job.get("id"), reason]
