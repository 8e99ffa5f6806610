r"""Syslog messages of RFC 5424, behind their priority. Pure: parts, or a sentence that says what is wrong.

    1 2003-10-11T22:14:15.003Z host app procid msgid [id name="value"] message

`-` is nil. In values `\"`, `\\` and `\]` stand for the second character. Longer names than the RFC's are cut, not
refused; a structured element is in the fields as `sd.<id>.<name>`, one without parameters as `sd.<id>`.
"""

import re
from collections.abc import Iterator
from typing import Final

from deployer.protocol.syslogparts import Fields, Parts, name_of
from deployer.protocol.syslogtimes import rfc3339

BOM: Final = "\ufeff"
NIL: Final = "-"

_HEAD: Final = re.compile(r"1 ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ")
_NAME: Final = r'[^ =\]"\x00-\x1f]{1,128}'
_ELEMENT: Final = re.compile(rf'\[({_NAME})((?: +{_NAME}="(?:[^"\\]|\\.)*+")*+) *\]', re.DOTALL)
_PARAMETER: Final = re.compile(rf'({_NAME})="((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\\]])')


def parse(text: str, start: int) -> Parts | str:
    """The parts of what begins at `start`, or why it has none."""
    head = _HEAD.match(text, start)
    if head is None:
        return "no header of RFC 5424"
    stamp, host, app, procid, msgid = head.groups()
    epoch = None if stamp == NIL else rfc3339(stamp)
    if epoch is None and stamp != NIL:
        return "no time of RFC 5424"
    begin = head.end()
    fields: Fields = ()
    if text.startswith(NIL, begin):
        end = begin + 1
    else:
        elements = list(_elements(text, begin))
        if not elements:
            return "no structured data"
        end = elements[-1].end()
        fields = tuple(field for element in elements for field in _fields(element))
    if end < len(text) and text[end] != " ":
        return "structured data does not end"
    body = text[end + 1 :].removeprefix(BOM)
    return Parts(epoch, name_of(host), name_of(app), name_of(procid), name_of(msgid), body, fields)


def _elements(text: str, begin: int) -> Iterator[re.Match[str]]:
    while (element := _ELEMENT.match(text, begin)) is not None:
        yield element
        begin = element.end()


def _fields(element: re.Match[str]) -> Iterator[tuple[str, str]]:
    parameters = _PARAMETER.findall(element[2])
    if not parameters:
        yield f"sd.{element[1]}", ""
    for name, value in parameters:
        yield f"sd.{element[1]}.{name}", _ESCAPED.sub(r"\1", value)
