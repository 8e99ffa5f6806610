"""Syslog messages as BSD's syslogd and most devices send them (RFC 3164), behind their priority. Pure; never an error.

    Oct 11 22:14:15 host tag[pid]: message

RFC 3164 describes what is seen, it demands nothing; so any part may be missing, as with rsyslog. The usual line is read
by one expression, any other piece by piece: Cisco's sequence number and origin in front, a `*` or `.` (a clock that is
not set), a year, a zone and a colon at the time, times of ISO 8601, no time, no host. A word is a tag only with a colon
or a pid behind it: what a sentence begins with would make a stream of each. Cisco's `%ASA-6-302013:` is the application
`ASA` with the message id `ASA-6-302013`.
"""

import re
from typing import Final

from deployer.protocol.syslogparts import Parts, name_of
from deployer.protocol.syslogtimes import bsd, rfc3339

_STAMP: Final = r"[A-Z][a-z]{2} [ 0-3]?[0-9] [0-9:]{8}"
_ISO: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.0-9]{0,10}(?:Z|[+-][0-9]{2}:?[0-9]{2})"
_HOST: Final = r"[A-Za-z0-9._/%:-]{0,127}[A-Za-z0-9._/-]"
_TAG: Final = r"[^\s:\[\]%]{1,128}"

_USUAL: Final = re.compile(rf"({_STAMP}|{_ISO}) ({_HOST}) ({_TAG})(?:\[([^\]\s]{{0,64}})\])?: ?", re.ASCII)
_SEQUENCE: Final = re.compile(r"[0-9]{1,20}: ", re.ASCII)
_CLOCK: Final = re.compile(
    rf"[*.]?((?:[0-9]{{4}} )?[A-Z][a-z]{{2}}  ?[0-9]{{1,2}} (?:[0-9]{{4}} )?[0-9:]{{8}}(?:\.[0-9]{{1,9}})?|{_ISO})"
    r"(?: [A-Z]{2,5}(?=:))?(?::(?= )| : | |$)",
    re.ASCII,
)
_ORIGIN: Final = re.compile(rf"({_HOST}): (?=[*.]?(?:[0-9]{{4}} )?[A-Z][a-z]{{2}}  ?[0-9]{{1,2}} )", re.ASCII)
_NAMED_HOST: Final = re.compile(rf"({_HOST})(?: :)? +(?=[^ ])", re.ASCII)
_TAGGED: Final = re.compile(rf"({_TAG})(?:\[([^\]\s]{{0,64}})\](?::|(?= )|$)|:(?= |$)) ?", re.ASCII)
_CISCO: Final = re.compile(r"%([A-Za-z0-9_]{1,64})((?:-[A-Za-z0-9_]{1,64}){1,4}): ?", re.ASCII)


def parse(text: str, start: int, received: int, offset_s: int) -> Parts:
    """The parts of what begins at `start`; `received` (epoch ms) and the master's zone tell what its time means."""
    usual = _USUAL.match(text, start)
    if usual is not None:
        stamp, host, tag, pid = usual.groups()
        epoch = _epoch(stamp, received, offset_s)
        if epoch is not None:
            return Parts(epoch, name_of(host), name_of(tag), name_of(pid or ""), "", text[usual.end() :])
    return _careful(text, start, received, offset_s)


def _careful(text: str, start: int, received: int, offset_s: int) -> Parts:
    """Piece by piece."""
    host, epoch = "", None
    if (sequence := _SEQUENCE.match(text, start)) is not None:
        start = sequence.end()
    if (origin := _ORIGIN.match(text, start)) is not None:
        host, start = origin[1], origin.end()
    if (clock := _CLOCK.match(text, start)) is not None:
        epoch = _epoch(clock[1], received, offset_s)
        start = start if epoch is None else clock.end()
    while text.startswith(" ", start):
        start += 1
    if epoch is not None and not host and _program(text, start) is None:
        named = _NAMED_HOST.match(text, start)
        if named is not None:
            host, start = named[1], named.end()
            start += 2 * text.startswith(": ", start)
    return _program(text, start, epoch, host) or Parts(epoch, name_of(host), "", "", "", text[start:])


def _program(text: str, start: int, epoch: int | None = None, host: str = "") -> Parts | None:
    """What begins with a tag, of a program or of Cisco's; None when nothing of the kind is there."""
    if (cisco := _CISCO.match(text, start)) is not None:
        msgid = cisco[1] + cisco[2]
        return Parts(epoch, name_of(host), name_of(cisco[1]), "", name_of(msgid), text[start:])
    if (tagged := _TAGGED.match(text, start)) is not None:
        return Parts(epoch, name_of(host), name_of(tagged[1]), name_of(tagged[2] or ""), "", text[tagged.end() :])
    return None


def _epoch(stamp: str, received: int, offset_s: int) -> int | None:
    return rfc3339(stamp) if stamp[4] == "-" else bsd(stamp, received, offset_s)
