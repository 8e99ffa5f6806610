"""What `deployer logs` shows without ids: messages of all hosts, searched and followed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click

from deployer.cli.options import Common
from deployer.cli.output import NAMES, document, line, one_line, say
from deployer.client.client import Client
from deployer.client.records import Document, Dropped

USUAL = 100
IN_FRONT = 10
"""So many of the last stand in front of what is followed."""
_NUMBERS = {name: number for number, name in NAMES.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which messages; None is any."""

    host: str | None = None
    domain: str | None = None
    name: str | None = None
    level: str | None = None
    text: str | None = None
    job: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None

    @property
    def which(self) -> dict[str, str | None]:
        """What a master is asked."""
        return {
            "host": self.host,
            "domain": self.domain,
            "name": self.name,
            "level": self.level,
            "text": self.text,
            "job": self.job,
        }


def show(told: Common, asked: Asked, *, jobs: bool) -> None:
    """The newest, in the order in which they came; from a time on all of them, or with `limit` the newest of these."""
    client = told.client()
    if asked.since and not asked.limit:
        found = client.logs(limit=None, since=asked.since, to=asked.until, order="asc", **asked.which)
        _print(told, found, jobs=jobs)
        return
    newest = list(client.logs(limit=asked.limit or USUAL, since=asked.since, to=asked.until, **asked.which))
    _print(told, newest[::-1], jobs=jobs)


def follow(told: Common, asked: Asked, *, jobs: bool) -> None:
    """What comes from now on, until it is interrupted, behind the last of what there is."""
    client = told.client()
    if asked.since or asked.until:
        raise click.UsageError("--follow begins now: --limit shows what came last in front of it")
    for one in _followed(client, asked):
        if isinstance(one, Dropped):
            say(f"{one.count} messages were dropped here: they came faster than they were read")
        elif told.json:
            line(one)
        else:
            click.echo(plain(one, jobs=jobs))


def _followed(client: Client, asked: Asked) -> Iterator[Document | Dropped]:
    yield from list(client.logs(limit=asked.limit or IN_FRONT, **asked.which))[::-1]
    yield from client.follow_logs(after="", **asked.which)


def _print(told: Common, found: Iterable[Document], *, jobs: bool) -> None:
    if told.json and not told.ndjson:
        document({"items": list(found)})
        return
    shown = False
    for one in found:
        shown = True
        if told.ndjson:
            line(one)
        else:
            click.echo(plain(one, jobs=jobs))
    if not shown and not told.quiet and not told.json:
        say("no messages")


def levels(text: str) -> str:
    """Levels as a master takes them, where they are named as they are shown: `warning,error`, `7-critical`. Pure."""
    return re.sub("[a-z]+", lambda name: str(_NUMBERS.get(name[0], name[0])), text.lower())


def plain(one: Document, *, jobs: bool = False) -> str:
    """One line of text: when, where, what said it, its level when it is not plain output, the message.

    `jobs`: the agent and the job, too.
    """
    where = str(one.get("host") or one.get("agent") or "-")
    where += f"  {one.get('agent') or '-'}  {one.get('job') or '-'}" if jobs else ""
    what = f"{one.get('jobdomain') or '-'}/{one.get('jobname') or '-'}"
    level = NAMES.get(int(one.get("level") or 0), "")
    said = f"{level}: " if level else ""
    return one_line(f"{one.get('at')}  {where}  {what}  {said}{one.get('data')}")
