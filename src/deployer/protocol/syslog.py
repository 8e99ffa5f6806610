"""Datagrams of syslog: bytes in, one record out, whatever they are. Pure; never an error (RELIABILITY U6).

After the priority `<facility * 8 + severity>` comes RFC 5424 (where a `1` and a blank follow) or RFC 3164. What has no
valid priority, or says that it is RFC 5424 and is not, is kept as it came: level 5, with `parse_error`. The body of a
message may be a JSON object, with `@cee:` before it or without: its values are fields too, as `json.<name>`.

Severity and level (docs/logs.md has the table both ways): 0 to 2 are 9, 3 is 8, 4 is 7, 5 is 3, 6 is 5 (6 where the
body is JSON), 7 is 5. `more` keeps facility and severity by their names, and what else the message said.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from deployer.protocol import rfc3164, rfc5424
from deployer.protocol.levels import CRITICAL, LOG, OPERATIONS_ERROR, PUBLIC, STRUCTURED_LOG, WARNING
from deployer.protocol.syslogparts import MAX_DATAGRAM_BYTES, Fields, Parts, bounded, clean

FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console", "solaris-cron"),
    *(f"local{number}" for number in range(8)),
)
SEVERITIES: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
LEVELS: Final = (CRITICAL, CRITICAL, CRITICAL, OPERATIONS_ERROR, WARNING, PUBLIC, LOG, LOG)
INFO: Final = 6
CEE: Final = "@cee:"
MAX_PRIORITY: Final = 191

_PRIORITY: Final = re.compile(r"<([0-9]{1,3})>", re.ASCII)
_HEADS: Final = tuple(
    {"facility": facility, "severity": severity} for facility in FACILITIES for severity in SEVERITIES
)


class Received(Struct, frozen=True, gc=False):
    """When and from where a datagram came: epoch ms, the same as ISO 8601, the sender's address.

    `offset_s`: by how much the master's zone is before UTC, for times without one.
    """

    ms: int
    at: str
    source: str
    offset_s: int = 0


class Record(Struct, frozen=True, gc=False):
    """What a datagram says. `app` and `host` are names; `error`: it could not be parsed and is kept as it came."""

    level: int
    epoch: int
    host: str
    app: str
    text: str
    more: dict[str, str]
    error: bool = False


def parse(data: bytes | str, received: Received) -> Record:
    """Read one datagram."""
    text = data if isinstance(data, str) else data[:MAX_DATAGRAM_BYTES].decode("utf-8", "replace")
    if len(text) > MAX_DATAGRAM_BYTES:
        text = text[:MAX_DATAGRAM_BYTES]
    text = text.rstrip("\n\r\x00")
    match = _PRIORITY.match(text)
    if match is None:
        return _raw(text, received, "no priority")
    priority = int(match[1])
    if priority > MAX_PRIORITY:
        return _raw(text, received, "no such priority")
    start = match.end()
    if text.startswith("1 ", start):
        parts = rfc5424.parse(text, start)
        if isinstance(parts, str):
            return _raw(text, received, parts)
    else:
        parts = rfc3164.parse(text, start, received.ms, received.offset_s)
    return _record(parts, priority, received)


def _record(parts: Parts, priority: int, received: Received) -> Record:
    severity = priority & 7
    level, text, fields = LEVELS[severity], parts.text, parts.fields
    if text.startswith(("{", CEE, " {", f" {CEE}")):
        text = text.lstrip().removeprefix(CEE).lstrip()
        said = _json(text)
        if said is not None:
            fields += said
            level = STRUCTURED_LOG if severity == INFO else level
    more = {**_HEADS[priority], "received": received.at}
    if parts.procid:
        more["procid"] = parts.procid
    if parts.msgid:
        more["msgid"] = parts.msgid
    if fields:
        more = {**bounded(fields), **more}
    host = parts.host or received.source
    if host != received.source:
        more["from"] = received.source
    epoch = received.ms if parts.epoch is None else parts.epoch
    return Record(level, epoch, host, parts.app, clean(text), more)


def _raw(text: str, received: Received, why: str) -> Record:
    more = {"received": received.at, "parse_error": why}
    return Record(LOG, received.ms, received.source, "", clean(text), more, error=True)


def _json(text: str) -> Fields | None:
    """The members of an object; None when the text is something else."""
    try:
        said = _object(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return tuple((f"json.{name}", value if isinstance(value, str) else _text(value)) for name, value in said.items())


def _text(value: object) -> str:
    return _encode(value).decode()


_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode
