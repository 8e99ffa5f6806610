"""A message of the logs as clients see it: a record, a line of NDJSON, of CSV, of text, or an event."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from deployer.protocol.messages import FLAGS, category
from deployer.protocol.times import iso
from deployer.telemetry.loglines import Line

_CONTROL: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class LoggedMessage(Struct, frozen=True, kw_only=True):
    """One message; `at` is `epoch` (ms) as ISO 8601, `received` when it came to the master.

    `agent` and `job` are null for what came by syslog or statsd, whose `host` is what the message says, and `more` what
    else it says. `category` and `flags` as in a job's log.
    """

    agent: str | None
    host: str
    job: str | None
    jobdomain: str
    jobname: str
    epoch: int
    at: str
    received: str
    level: int
    id: int
    data: str
    category: str | None
    flags: list[str]
    more: dict[str, str]


COLUMNS: Final = ("at", "received", "agent", "host", "job", "jobdomain", "jobname", "level", "category", "more", "data")


def logged(line: Line, hosts: Mapping[str, str]) -> LoggedMessage:
    """What is told of a line; `hosts`: names of the agents' hosts."""
    its = line.message
    return LoggedMessage(
        agent=its.agent or None,
        host=its.host or hosts.get(its.agent, ""),
        job=its.task.partition(":")[0] or None,
        jobdomain=line.domain,
        jobname=line.name,
        epoch=its.epoch,
        at=iso(its.epoch),
        received=iso(line.at.ms),
        level=its.level,
        id=its.id,
        data=its.data,
        category=category(its.level, its.data),
        flags=[name for flag, name in FLAGS.items() if its.flags & flag],
        more=its.more,
    )


def as_ndjson(one: LoggedMessage) -> bytes:
    """A line of newline-delimited JSON."""
    line: bytes = _encode(one) + b"\n"
    return line


def as_csv(one: LoggedMessage) -> bytes:
    """A row of CSV (RFC 4180). A cell that a spreadsheet would compute has an apostrophe in front (RELIABILITY W10)."""
    return _row([_cell(getattr(one, name)) for name in COLUMNS])


def _cell(value: object) -> str:
    if value is None or value == {}:
        return ""
    text = _encode(value).decode() if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(cells: list[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode("utf-8", "replace")


def as_text(one: LoggedMessage) -> bytes:
    """One line, whatever the message has in it: control characters are shown and not sent."""
    where = f"{one.host or one.agent or '-'} {one.jobdomain or '-'}/{one.jobname or '-'}"
    text = f"{one.at} {where} {one.level} {one.data}"
    return _CONTROL.sub(_shown, text).encode("utf-8", "replace") + b"\n"


def _shown(match: "re.Match[str]") -> str:
    code = ord(match[0])
    if match[0] in "\n\t":
        return "\\n" if match[0] == "\n" else "\t"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 (what two digits say)


def as_event(line: Line, host: str) -> bytes:
    """A Server-Sent Event with the place as its id; `host`: the name of the agent's host."""
    return b"id: %b\ndata: %b\n\n" % (str(line.at).encode(), _encode(logged(line, {line.message.agent: host})))


Format = tuple[bytes, Callable[[LoggedMessage], bytes]]
"""What stands at the top, and how each message is written."""

FORMATS: Final[Mapping[str, Format]] = {
    "application/x-ndjson": (b"", as_ndjson),
    "text/csv": (_row(list(COLUMNS)), as_csv),
    "text/plain": (b"", as_text),
}

_encode: Any = msgspec.json.Encoder().encode
